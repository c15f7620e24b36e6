import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import { GenesysClient } from '../../../lib/genesys/client';
import { useAccess } from '../../../lib/genesys/oauth';
import {
  definitionOf,
  fetchOffer,
  listTopics,
  operationsTopic,
  planTopics,
  shareTopics,
  type TopicOffer,
  type TopicWish,
} from '../../../lib/genesys/topics';
import { parseTopicsFile } from '../../../lib/genesys/topics-file';
import {
  defaultClient,
  defaultDefinitions,
  type GenesysSimulator,
  type GenesysSimulatorOptions,
  startGenesysSimulator,
} from '../../simulators/genesys';

const OPERATIONS_TEMPLATE = 'v2.operations.events.{id}';
const AUDIOHOOK = defaultDefinitions
  .filter(({ id }) => id.startsWith('AUDIOHOOK'))
  .map(({ id }) => operationsTopic(id));

function wish(parts: Partial<TopicWish> = {}): TopicWish {
  return { file: [], discover: true, include: /audiohook/i, exclude: undefined, fallback: [], ...parts };
}

describe('topics of Genesys', () => {
  const cleanUp: (() => unknown)[] = [];

  afterEach(async () => {
    for (const step of cleanUp.splice(0).reverse()) await step();
  });

  async function start(
    options: GenesysSimulatorOptions = {},
  ): Promise<{ genesys: GenesysSimulator; client: GenesysClient }> {
    const genesys = await startGenesysSimulator(options);
    const { access, release } = useAccess({
      loginUrl: genesys.url,
      clientId: defaultClient.id,
      clientSecret: defaultClient.secret,
    });
    cleanUp.push(() => genesys.close(), release);
    return { genesys, client: new GenesysClient({ apiUrl: genesys.url, access, backoff: { baseMs: 1, maxMs: 2 } }) };
  }

  const offerOf = async (options?: GenesysSimulatorOptions) => fetchOffer((await start(options)).client);

  describe('discovery', () => {
    it('finds AudioHook although no topic has that name: through the event definitions', async () => {
      const plan = planTopics(wish(), await offerOf());
      assert.equal(plan.source, 'discovery');
      assert.deepEqual(plan.subscribed, AUDIOHOOK);
      assert.deepEqual(plan.polled, []);
    });

    it('asks for what it needs in one request each, comma-joined, and not for the schemas', async () => {
      const { genesys, client } = await start();
      await fetchOffer(client);
      const asked = genesys.requests.recent.filter(({ method }) => method === 'GET');
      assert.equal(asked.length, 2);
      const expand = new URLSearchParams(asked[0]!.query).get('expand')!.split(',');
      assert.ok(expand.includes('transports') && expand.includes('requiresPermissions'));
      assert.ok(!expand.includes('schema'));
    });

    it('matches the id, the name and the description of a definition, in any case', async () => {
      const offer = await offerOf();
      const found = (include: RegExp, exclude?: RegExp) => planTopics(wish({ include, exclude }), offer).subscribed;
      assert.deepEqual(found(/^trunks-0001$/i), [operationsTopic('TRUNKS-0001')]);
      assert.deepEqual(found(/TRUNK OUT of service/i), [operationsTopic('TRUNKS-0001')]);
      assert.deepEqual(found(/lost its connection/i), [operationsTopic('TRUNKS-0001')]);
      assert.deepEqual(found(/^v2\.operations\.events\.TRUNKS/i), [operationsTopic('TRUNKS-0001')]);
      assert.deepEqual(
        found(/audiohook/i, /timeout|protocol/i),
        ['AUDIOHOOK-0001', 'AUDIOHOOK-0003', 'AUDIOHOOK-0009'].map(operationsTopic),
      );
    });

    it('takes plain topics, but no template, no system topic, none for a user and none only for EventBridge', async () => {
      const plan = planTopics(wish({ include: /./ }), await offerOf());
      assert.ok(plan.subscribed.includes('v2.outbound.settings'));
      assert.ok(plan.subscribed.includes('v2.quality.evaluations'));
      assert.ok(!plan.subscribed.includes('v2.analytics.conversations.details.jobs.availability'));
      assert.ok(plan.subscribed.every((id) => !/[{}]|\.system\.|channel\.metadata/.test(id)));
      assert.equal(new Set(plan.subscribed).size, plan.subscribed.length);
    });

    it('takes the fallback list when nothing matches', async () => {
      const plan = planTopics(
        wish({ include: /nothing-like-this/, fallback: ['v2.flows.1', 'v2.flows.1', ' '] }),
        await offerOf(),
      );
      assert.deepEqual([plan.source, plan.subscribed], ['list', ['v2.flows.1']]);
    });

    it('polls where the organization offers operational events only on EventBridge', async () => {
      const offer = await offerOf({ operationsTransports: ['EventBridge'] });
      const plan = planTopics(wish(), offer);
      assert.deepEqual(plan.subscribed, []);
      assert.deepEqual(
        plan.polled,
        AUDIOHOOK.map((topic) => definitionOf(topic)),
      );
      const listed = planTopics(wish({ discover: false, fallback: [AUDIOHOOK[0]!, 'v2.flows.1'] }), offer);
      assert.deepEqual([listed.subscribed, listed.polled], [['v2.flows.1'], ['AUDIOHOOK-0001']]);
    });

    for (const transports of [['All'], ['Websocket'], ['Websocket', 'EventBridge']] as const) {
      it(`subscribes with the transports ${transports.join(' and ')}`, async () => {
        const plan = planTopics(wish(), await offerOf({ operationsTransports: [...transports] }));
        assert.deepEqual(plan.subscribed, AUDIOHOOK);
      });
    }

    it('polls when the organization does not list the template at all', async () => {
      const plan = planTopics(wish(), await offerOf({ topics: [{ id: 'v2.flows.{id}' }] }));
      assert.deepEqual([plan.subscribed, plan.polled.length], [[], AUDIOHOOK.length]);
    });

    it('goes on without the definitions when the client may not see them, and names the permission', async () => {
      const { genesys, client } = await start();
      genesys.withhold(['usage:events:view']);
      const offer = await fetchOffer(client);
      assert.match(offer.problems.join(), /usage:events:view/);
      const plan = planTopics(wish({ fallback: [AUDIOHOOK[0]!] }), offer);
      assert.deepEqual([plan.source, plan.subscribed], ['list', [AUDIOHOOK[0]]]);
    });

    it('fails as a whole when Genesys is unwell, so that it is tried again', async () => {
      const { genesys, client } = await start();
      genesys.fail({ path: /definitions/, times: 10, answer: { status: 503 } });
      await assert.rejects(fetchOffer(client), (error) => error instanceof ContactError && error.code === 'BUSY');
    });

    it('understands a bare list too, and refuses what is no list', async () => {
      const { genesys, client } = await start();
      genesys.fail({
        path: /availabletopics/,
        answer: { status: 200, body: [{ id: OPERATIONS_TEMPLATE }, { no: 1 }] },
      });
      assert.deepEqual(
        (await fetchOffer(client)).topics.map(({ id }) => id),
        [OPERATIONS_TEMPLATE],
      );
      genesys.fail({ path: /availabletopics/, answer: { status: 200, body: { topics: [] } } });
      await assert.rejects(fetchOffer(client), (error) => error instanceof ContactError && error.code === 'PROTOCOL');
    });
  });

  describe('the plan', () => {
    const offer: TopicOffer = {
      topics: [{ id: OPERATIONS_TEMPLATE, requiresPermissions: [], requiresCurrentUser: false, transports: ['All'] }],
      definitions: [{ id: 'AUDIOHOOK-0001' }],
      problems: [],
    };

    it('takes the topics file before discovery, as long as it lists something', () => {
      const file = ['v2.flows.1'];
      assert.deepEqual(planTopics(wish({ file }), offer).subscribed, file);
      assert.deepEqual(planTopics(wish({ file: [] }), offer).subscribed, [operationsTopic('AUDIOHOOK-0001')]);
    });

    it('takes the list when discovery is off, and when nothing could be learned', () => {
      const fallback = ['v2.flows.1'];
      assert.deepEqual(planTopics(wish({ discover: false, fallback }), offer).subscribed, fallback);
      assert.deepEqual(planTopics(wish({ fallback }), undefined).subscribed, fallback);
    });

    it('never subscribes what arrives unasked, and tells what still has a placeholder', () => {
      const fallback = ['channel.metadata', 'v2.system.socket_closing', 'v2.users.{id}.presence', 'v2.flows.1'];
      const plan = planTopics(wish({ discover: false, fallback }), offer);
      assert.deepEqual(plan.subscribed, ['v2.flows.1']);
      assert.deepEqual(
        plan.unusable.map(({ id }) => id),
        ['v2.users.{id}.presence'],
      );
    });

    it('puts each wanted topic in exactly one place', () => {
      const name = fc.constantFrom(
        'v2.flows.1',
        'v2.users.{id}',
        'v2.operations.events.A',
        'v2.system.x',
        'channel.metadata',
        '',
      );
      fc.assert(
        fc.property(fc.array(name), fc.boolean(), (fallback, socket) => {
          const transports = [socket ? 'Websocket' : 'EventBridge'];
          const topics = [{ ...offer.topics[0]!, transports }];
          const plan = planTopics(wish({ discover: false, fallback }), { ...offer, topics });
          const placed = [
            ...plan.subscribed,
            ...plan.polled.map(operationsTopic),
            ...plan.unusable.map(({ id }) => id),
          ];
          const wanted = new Set(fallback.filter((each) => each !== '' && !/system|metadata/.test(each)));
          assert.deepEqual(placed.sort(), [...wanted].sort());
        }),
      );
    });
  });

  describe('the channels', () => {
    it('share the topics: each on one, none with too many, and none moved without need', () => {
      const topic = fc.integer({ min: 0, max: 40 }).map((number) => `topic-${number}`);
      const topics = fc.uniqueArray(topic, { maxLength: 40 });
      fc.assert(
        fc.property(topics, topics, fc.integer({ min: 1, max: 7 }), (before, after, limit) => {
          const current = shareTopics([], before, limit).added;
          const { kept, added } = shareTopics(current, after, limit);
          assert.deepEqual([...kept, ...added].flat().sort(), after.toSorted());
          assert.ok([...kept, ...added].every((group) => group.length <= limit));
          assert.ok(added.every((group) => group.length > 0));
          for (const [index, group] of current.entries()) {
            for (const each of group) assert.equal(kept[index]!.includes(each), after.includes(each));
          }
        }),
      );
    });
  });

  describe('the list for the dialog', () => {
    it('has a line for each event definition, what cannot be used at the end, and no system topics', async () => {
      const listed = listTopics(await offerOf());
      const first = listed.findIndex(({ obstacle }) => obstacle !== '');
      assert.ok(listed.slice(first).every(({ obstacle }) => obstacle !== ''));
      const topic = listed.find(({ id }) => id === AUDIOHOOK[0])!;
      assert.deepEqual(topic, {
        id: AUDIOHOOK[0],
        title: 'AudioHook integration error: The provisioned server URI is invalid.',
        transports: ['All'],
        permissions: ['usage:events:view'],
        visibility: 'Public',
        obstacle: '',
      });
      const obstacles = Object.fromEntries(listed.map(({ id, obstacle }) => [id, obstacle]));
      assert.equal(obstacles['v2.users.{id}.presence'], 'needs-id');
      assert.equal(obstacles['v2.users.{id}.userrecordings'], 'needs-user');
      assert.equal(obstacles['v2.analytics.conversations.details.jobs.availability'], 'not-on-socket');
      assert.ok(!listed.some(({ id }) => id.startsWith('v2.system')));
    });
  });

  describe('the topics file', () => {
    it('is an object with topics, or a bare array', () => {
      assert.deepEqual(parseTopicsFile('{"topics": ["a", "b"]}'), ['a', 'b']);
      assert.deepEqual(parseTopicsFile(' ["a"] '), ['a']);
      assert.deepEqual(parseTopicsFile('[]'), []);
    });

    for (const text of ['', 'topics', '{}', '{"topics": "a"}', '[1]', 'null', '{"topics": [null]}']) {
      it(`is not ${JSON.stringify(text)}`, () =>
        assert.throws(() => parseTopicsFile(text), /it (is no JSON|must hold)/));
    }
  });
});
