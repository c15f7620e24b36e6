import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type BooksSnapshot, isBalanced } from '../../../lib/core/books';
import { packageVersion } from '../../../lib/core/version';
import { changeMessage } from '../../../lib/monitor/changes';
import { healthAnswer } from '../../../lib/monitor/health';
import { Histogram } from '../../../lib/monitor/histogram';
import { membersOf, servicesOf } from '../../../lib/monitor/members';
import { metricGroups, metricsOf, metricsText } from '../../../lib/monitor/metrics';
import { isAuthorized, Monitors } from '../../../lib/monitor/monitors';
import {
  type AnyMetric,
  type Metric,
  type MonitoredNode,
  MonitorRegistry,
  type NodeReport,
} from '../../../lib/monitor/registry';
import { statsAnswer } from '../../../lib/monitor/stats';

const SINCE = Date.UTC(2026, 0, 1);

function node(id: string, flowIds: string[], report: Partial<NodeReport> = {}): MonitoredNode {
  return {
    id,
    type: 'es-bulk-out',
    name: `name of ${id}`,
    flowIds: () => flowIds,
    report: () => ({ state: 'idle', since: SINCE, ...report }),
  };
}

const SERVICES = [
  { service: 'a', flowIds: ['tab-a', 'tab-a2'] },
  { service: 'b', flowIds: ['tab-b'] },
];

/** Books that balance, as a sink could have them. */
const balanced = fc
  .record({
    delivered: fc.nat(),
    duplicate: fc.nat(),
    rejected: fc.nat(),
    dropped: fc.nat(),
    queued: fc.nat(),
    inFlight: fc.nat(),
  })
  .map((accounts): BooksSnapshot => {
    const received = Object.values(accounts).reduce((sum, value) => sum + value, 0);
    return { received, ...accounts };
  });

/** The samples of a Prometheus text, by name with labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

describe('members of a service', () => {
  it('are the nodes on its tabs; the others are unassigned', () => {
    assert.deepEqual(servicesOf(node('n', ['tab-a2']), SERVICES), ['a']);
    assert.deepEqual(servicesOf(node('n', ['tab-a', 'tab-a2', 'tab-b', 'tab-c']), SERVICES), ['a', 'b']);
    assert.deepEqual(servicesOf(node('n', ['tab-c']), SERVICES), ['unassigned']);
    assert.deepEqual(servicesOf(node('n', []), SERVICES), ['unassigned']);
  });

  it('are asked for a report once, and those of other services not at all', () => {
    const asked: string[] = [];
    const counting = (id: string, tabs: string[]): MonitoredNode => ({
      ...node(id, tabs),
      report: () => {
        asked.push(id);
        return { state: 'idle', since: SINCE };
      },
    });
    const nodes = [counting('shared', ['tab-a', 'tab-b']), counting('other', ['tab-b'])];
    assert.equal(membersOf(nodes, SERVICES).length, 3);
    assert.deepEqual(asked, ['shared', 'other']);
    assert.equal(membersOf(nodes, SERVICES, 'a').length, 1);
    assert.deepEqual(asked, ['shared', 'other', 'shared']);
  });
});

describe('answers of the monitor', () => {
  it('in /health are as bad as the worst node and say why', () => {
    const nodes = [node('well', ['tab-a']), node('ill', ['tab-b'], { state: 'refused', reason: 'wrong secret' })];
    const answer = healthAnswer(membersOf(nodes, SERVICES));
    assert.equal(answer.status, 'unhealthy');
    assert.equal(answer.version, packageVersion);
    assert.deepEqual(answer.checks[1], {
      service: 'b',
      node: 'ill',
      type: 'es-bulk-out',
      name: 'name of ill',
      status: 'unhealthy',
      reason: 'wrong secret',
      since: '2026-01-01T00:00:00.000Z',
    });
    assert.ok(!('reason' in answer.checks[0]!));
    assert.equal(healthAnswer([]).status, 'healthy');
  });

  it('in /stats show books unchanged, and facts of a node cannot hide what it is', () => {
    fc.assert(
      fc.property(balanced, (books) => {
        const details = { breaker: 'open', id: 'fake', state: 'fake' };
        const { services } = statsAnswer(membersOf([node('n', ['tab-a'], { books, details })], SERVICES));
        const [shown] = services['a']!.nodes;
        assert.deepEqual([shown!.id, shown!.state, shown!['breaker']], ['n', 'idle', 'open']);
        assert.deepEqual(shown!.books, books);
        assert.ok(isBalanced(shown!.books!));
      }),
    );
  });

  it('in /metrics balance whenever the books do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(balanced, { minLength: 1, maxLength: 4 }), async (all) => {
        const nodes = all.map((books, index) => node(`n${index}`, ['tab-a'], { books }));
        const found = samples((await metricsText(membersOf(nodes, SERVICES))).body);
        for (const [index] of all.entries()) {
          const labels = `service="a",node="n${index}",type="es-bulk-out"`;
          const of = (name: string) => found.get(`contact_center_${name}{${labels}}`)!;
          const settled = ['delivered', 'duplicate', 'rejected', 'dropped'].map(
            (outcome) => found.get(`contact_center_messages_total{${labels},outcome="${outcome}"}`)!,
          );
          const sum = settled.reduce((total, value) => total + value, 0);
          assert.equal(of('messages_received_total'), sum + of('queue_messages') + of('in_flight_messages'));
        }
      }),
      { numRuns: 25 },
    );
  });

  it('in /metrics survive whatever numbers and names a node gives', async () => {
    const metric: fc.Arbitrary<Metric> = fc.record({
      name: fc.oneof(fc.string(), fc.constantFrom('a_total', 'b', 'contact_center_node_up', 'toString')),
      help: fc.string(),
      type: fc.constantFrom('counter', 'gauge'),
      value: fc.double(),
      labels: fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('x', 'node', 'le', 'constructor')), fc.string()),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(metric, { maxLength: 8 }), async (metrics) => {
        const members = membersOf([node('n', ['tab-a'], { metrics }), node('m', ['tab-a'], { metrics })], SERVICES);
        const { body } = await metricsText(members);
        assert.match(body, /^contact_center_node_up\{service="a",node="m",type="es-bulk-out"\} /m);
        assert.ok(body.endsWith('\n'));
        JSON.stringify(metricGroups(members));
      }),
      { numRuns: 50 },
    );
  });

  it('in /metrics have histograms as Prometheus has them', async () => {
    const seconds = new Histogram([0.1, 1]);
    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
    const metrics: AnyMetric[] = [
      { name: 'took_seconds', help: 'T.', type: 'histogram', value: seconds.snapshot(), labels: { kind: 'a' } },
    ];
    const members = membersOf([node('n', ['tab-a'], { metrics })], SERVICES);
    const { body } = await metricsText(members);
    assert.match(body, /^# TYPE took_seconds histogram$/m);
    const found = samples(body);
    const labels = 'kind="a",service="a",node="n",type="es-bulk-out"';
    for (const [bound, count] of [
      ['0.1', 2],
      ['1', 3],
      ['+Inf', 4],
    ] as const) {
      assert.equal(found.get(`took_seconds_bucket{${labels},le="${bound}"}`), count);
    }
    assert.equal(found.get(`took_seconds_sum{${labels}}`), 7.65);
    assert.equal(found.get(`took_seconds_count{${labels}}`), 4);
    assert.equal((metricGroups(members)['a'] as Record<string, number>)['took_seconds_count'], 4);
  });

  it('in /metrics keep a metric apart by the labels of its node, which the node cannot forge', () => {
    const metrics: Metric[] = [{ name: 'x_total', help: 'X.', type: 'counter', value: 1, labels: { node: 'forged' } }];
    const [member] = membersOf([node('n', ['tab-a'], { metrics })], SERVICES);
    assert.deepEqual(metricsOf(member!).at(-1)!.labels, { service: 'a', node: 'n', type: 'es-bulk-out' });
  });

  it('as groups add up the nodes of a group', () => {
    const token = { tokens: { refresh_attempts: 2, refresh_failures: 1 } };
    const nodes = [
      node('first', ['tab-a', 'tab-b'], { groups: token }),
      node('second', ['tab-a'], {
        groups: token,
        metrics: [{ name: 'contact_center_batches_total', help: '', type: 'counter', value: 4 }],
      }),
    ];
    const groups = metricGroups(membersOf(nodes, SERVICES)) as Record<string, Record<string, unknown>>;
    assert.deepEqual(groups['tokens'], { refresh_attempts: 4, refresh_failures: 2 });
    assert.deepEqual(groups['a'], { nodes: 2, batches_total: 4 });
    assert.deepEqual(groups['b'], { nodes: 1 });
    assert.equal(groups['application']!['version'], packageVersion);
  });

  it('name a service also when it is called like a property of every object', () => {
    const members = membersOf([node('n', ['tab'])], [{ service: 'constructor', flowIds: ['tab'] }]);
    assert.equal(statsAnswer(members).services['constructor']?.nodes.length, 1);
    assert.deepEqual(metricGroups(members)['constructor'], { nodes: 1 });
  });

  it('as messages tell what has changed', () => {
    const change = { node: node('n', []), previous: 'connected', state: 'stalled', since: SINCE } as const;
    assert.deepEqual(changeMessage(change, 'a'), {
      topic: 'a/es-bulk-out',
      payload: {
        service: 'a',
        node: 'n',
        type: 'es-bulk-out',
        name: 'name of n',
        state: 'stalled',
        previous: 'connected',
        health: 'unhealthy',
        since: '2026-01-01T00:00:00.000Z',
      },
    });
  });
});

describe('registries', () => {
  it('of nodes know who runs and tell changes to all who listen, until they stop', () => {
    const registry = new MonitorRegistry();
    const first = node('first', []);
    const leave = registry.add(first);
    registry.add(node('second', []));
    const heard: string[] = [];
    const stop = registry.onChange(({ state }) => {
      heard.push(state);
      stop();
    });
    registry.onChange(({ state }) => heard.push(`${state} again`));
    registry.announce({ node: first, previous: 'idle', state: 'connected', since: SINCE });
    registry.announce({ node: first, previous: 'connected', state: 'failed', since: SINCE });
    assert.deepEqual(heard, ['connected', 'connected again', 'failed again']);
    leave();
    leave();
    assert.deepEqual(
      registry.all().map(({ id }) => id),
      ['second'],
    );
  });

  it('of monitors name the services and who answers for them', () => {
    const monitors = new Monitors();
    const monitor = (service: string | undefined, tab: string) => ({
      service,
      flowIds: () => [tab],
      metricsEnabled: false,
      token: undefined,
    });
    const leave = monitors.add(monitor('a', 'tab-a'));
    monitors.add(monitor(undefined, 'tab-x'));
    assert.deepEqual(monitors.services(), [{ service: 'a', flowIds: ['tab-a'] }]);
    assert.deepEqual(
      [monitors.answering().length, monitors.answering('a').length, monitors.answering('x').length],
      [2, 1, 0],
    );
    leave();
    assert.deepEqual(monitors.services(), []);
  });
});

describe('bearer tokens', () => {
  it('open only when they are exactly one of the expected', () => {
    assert.ok(isAuthorized('Bearer secret-1', ['other', 'secret-1']));
    assert.ok(isAuthorized('bearer   secret-1', ['secret-1']));
    for (const header of [undefined, '', 'Bearer', 'Bearer ', 'secret-1', 'Basic secret-1', 'Bearer secret-1 x']) {
      assert.ok(!isAuthorized(header, ['secret-1']), String(header));
    }
    assert.ok(!isAuthorized('Bearer secret-1', []));
    fc.assert(
      fc.property(fc.string(), fc.string(), (given, expected) => {
        if (given.trim() !== expected) assert.ok(!isAuthorized(`Bearer ${given}`, [expected]));
      }),
    );
  });
});
