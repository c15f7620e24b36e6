import assert from 'node:assert/strict';
import { settleDelivery } from '../../../lib/core/deliveries';
import { readConversation } from '../../../lib/zoho/conversation';
import { repetitions } from '../../services/requirements';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../../simulators/zoho';
import { DAY, HOUR, INTERVAL, MINUTE, SETTINGS, World } from '../cody/harness';
import { CaseProcess } from '../zoho/harness';

const CHATS = repetitions(80, 1_000);
const STEP = INTERVAL;
const LASTS = repetitions(6, 24) * HOUR;

/** What a chat will do: when it begins and how long it pauses before each message. */
interface Script {
  id: string;
  beginsAt: number;
  pauses: number[];
}

/** The same numbers at each run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

describe('chats on a simulated clock', function () {
  this.timeout(600_000);
  let world: World;
  let zoho: ZohoSimulator;
  let process: CaseProcess;

  beforeEach(async () => {
    world = new World();
    await world.start();
    zoho = await startZohoSimulator({
      now: () => world.time.now,
      scopes: [...defaultZoho.scopes, 'ZohoCRM.coql.READ'],
      tokenLifetimeSeconds: 30 * 24 * 3_600,
    });
    process = new CaseProcess(zoho, { settings: { note: true }, timeoutMs: 5_000 });
  });
  afterEach(async () => {
    process.close();
    await world.close();
    await zoho.close();
  });

  it(`${CHATS} chats with pauses at random: no Case in mid-talk, growth always in the first Case, one Note for each content`, async () => {
    const random = randomNumbers(7);
    const scripts: Script[] = Array.from({ length: CHATS }, (_, number) => {
      // Most pauses are part of the talk; some are so long that the chat counts as settled and goes on afterwards.
      const pause = () => (random() < 0.12 ? (6 + random() * 120) * MINUTE : random() * 4 * MINUTE);
      const pauses = Array.from({ length: 1 + Math.floor(random() * 8) }, pause);
      return { id: `chat-${number}`, beginsAt: random() * LASTS * 0.6, pauses };
    });
    const start = world.time.now;
    const said = new Map<string, number[]>();
    /** The contents that were sent, by chat: how many messages each had. */
    const contents = new Map<string, Set<number>>();
    let early = 0;

    const poller = world.poller();
    poller.onSend = (message) => {
      const conversation = readConversation(message.payload);
      const times = said.get(conversation.id)!;
      const silentMs = world.time.now - times.at(-1)!;
      // Whole seconds are all that Cody tells.
      if (silentMs < SETTINGS.settleMs - 1_000) early += 1;
      const seen = contents.get(conversation.id) ?? new Set();
      contents.set(conversation.id, seen.add(conversation.metrics.messageCount));
      void process.write(conversation).then(({ verdict }) => {
        assert.ok(verdict.kind === 'delivered' || verdict.kind === 'duplicate', verdict.kind);
        settleDelivery(message, { kind: 'acknowledge' });
      });
      return undefined;
    };

    for (let at = 0; at < LASTS + 3 * HOUR; at += STEP) {
      for (const { id, beginsAt, pauses } of scripts) {
        let time = start + beginsAt;
        const times = said.get(id) ?? [];
        for (const [index, pause] of [0, ...pauses].entries()) {
          time += pause;
          if (times.length !== index || time > world.time.now) continue;
          if (index === 0) world.cody.converse({ id, createdAt: time });
          world.cody.say(id, { content: `message ${index}`, machine: index % 2 === 1, createdAt: time });
          times.push(time);
        }
        if (times.length > 0) said.set(id, times);
      }
      await poller.poller.poll();
      while (poller.poller.looks.underWay > 0) await new Promise((resolve) => setImmediate(resolve));
      await world.pass(STEP);
    }
    // Growth is looked for ever less often, so the last of it may take as long as the chat has been silent.
    for (let hour = 0; hour < 48; hour++) {
      await world.pass(HOUR);
      await poller.poller.poll();
      while (poller.poller.looks.underWay > 0) await new Promise((resolve) => setImmediate(resolve));
    }

    assert.equal(said.size, CHATS);
    assert.equal(early, 0);
    assert.equal(zoho.cases.length, CHATS);
    for (const { id, pauses } of scripts) {
      const [made, ...more] = zoho.casesOf(id);
      assert.ok(made && more.length === 0, `${id} has one Case`);
      assert.equal(made.fields['CF_Message_Count'], String(pauses.length + 1), `${id} is whole`);
      const notes = zoho.notesOf(made.id);
      assert.equal(notes.length, contents.get(id)!.size, `${id} has a Note for each content`);
      assert.equal(new Set(notes.map(({ content }) => content)).size, notes.length);
    }
    const grown = [...contents.values()].filter(({ size }) => size > 1).length;
    assert.ok(grown > CHATS / 10, `${grown} chats have grown after their Case was made`);
    assert.ok(world.time.now - start > DAY / 4);
  });
});
