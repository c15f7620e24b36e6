import assert from 'node:assert/strict';
import FakeTimers from '@sinonjs/fake-timers';
import fc from 'fast-check';
import { Histogram, quantile, since } from '../../../lib/monitor/histogram';
import { LiveFeed } from '../../../lib/monitor/live-feed';
import { type LiveFrame, LiveView } from '../../../lib/monitor/live-view';
import type { Member } from '../../../lib/monitor/members';
import type { NodeReport } from '../../../lib/monitor/registry';

const BOUNDS = [0.01, 0.1, 1, 10];

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram(BOUNDS);
  for (const value of values) histogram.observe(value);
  return histogram;
}

describe('a quantile of a histogram', () => {
  it('is in the bucket of the value that it stands for', () => {
    const value = fc.double({ min: 0, max: 10, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
        const sorted = [...values].sort((one, other) => one - other);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-9) - 1)] as number;
        const upper = BOUNDS.find((bound) => exact <= bound) as number;
        const lower = BOUNDS[BOUNDS.indexOf(upper) - 1] ?? 0;
        const found = quantile(histogramOf(values).snapshot(), share) as number;
        assert.ok(found >= lower && found <= upper, `${found} is not within ${lower} and ${upper}`);
      }),
    );
  });

  it('is the highest bound for what is above all bounds, and nothing without values', () => {
    assert.equal(quantile(histogramOf([99]).snapshot(), 0.5), 10);
    assert.equal(quantile(histogramOf([]).snapshot(), 0.5), undefined);
  });

  it('of the time since an earlier look knows nothing of what was before', () => {
    const histogram = histogramOf([5, 5, 5, 5]);
    const before = histogram.snapshot();
    histogram.observe(0.05);
    const lately = since(before, histogram.snapshot());
    assert.equal(lately.count, 1);
    assert.ok((quantile(lately, 0.95) as number) <= 0.1);
    assert.equal(since(before, histogramOf([1]).snapshot()).count, 1, 'a histogram that began anew counts as it is');
  });
});

describe('the live view', () => {
  const books = { received: 0, delivered: 0, duplicate: 0, rejected: 0, dropped: 0, queued: 0, inFlight: 0 };
  const member = (report: () => Partial<NodeReport>, service = 'audiohook'): Member => {
    const node = { id: 'n', type: 't', name: 'name', flowIds: () => [], report: () => full(report()) };
    return { service, node, report: node.report() };
  };
  const full = (report: Partial<NodeReport>): NodeReport => ({ state: 'connected', since: 0, ...report });
  const again = ({ service, node }: Member): Member => ({ service, node, report: node.report() });

  it('tells how many messages a second came in and were done with over the last seconds', () => {
    const view = new LiveView();
    const counts = { ...books };
    const one = member(() => ({ books: { ...counts } }));
    assert.deepEqual(view.frame([one], 0).services[0]?.nodes[0]?.rate, { received: 0, done: 0 });
    for (let second = 1; second <= 10; second += 1) {
      counts.received += 20;
      counts.delivered += 15;
      counts.queued += 5;
      view.frame([again(one)], second * 1_000);
    }
    counts.received += 20;
    counts.queued += 20;
    const node = view.frame([again(one)], 11_000).services[0]?.nodes[0];
    assert.deepEqual(node?.rate, { received: 20, done: 12 });
    assert.equal(node?.waiting, 70);
    assert.equal(node?.books?.balanced, true);
  });

  it('tells latencies of the last minute only', () => {
    const view = new LiveView();
    const histogram = new Histogram(BOUNDS);
    const one = member(() => ({ live: { latency: histogram.snapshot() } }));
    view.frame([again(one)], 0);
    histogram.observe(5);
    const first = view.frame([again(one)], 1_000).services[0]?.nodes[0];
    assert.ok((first?.latency?.p50 ?? 0) > 1);
    const later = view.frame([again(one)], 70_000).services[0]?.nodes[0];
    assert.equal(later?.latency, undefined);
  });

  it('is as bad as the worst of its nodes, service by service, and says why', () => {
    const frame = new LiveView().frame(
      [member(() => ({})), member(() => ({ state: 'refused', reason: 'The key is wrong.' }), 'ocelot')],
      0,
    );
    assert.equal(frame.status, 'unhealthy');
    assert.deepEqual(
      frame.services.map(({ service, status }) => [service, status]),
      [
        ['audiohook', 'healthy'],
        ['ocelot', 'unhealthy'],
      ],
    );
    assert.equal(frame.services[1]?.nodes[0]?.reason, 'The key is wrong.');
  });

  it('shows a node that fails to say what it can be told to do, and all others', () => {
    const broken = member(() => ({}));
    broken.node.actions = () => {
      throw new Error('not connected');
    };
    const able = member(() => ({}));
    able.node.actions = () => ({ pause: () => {} });
    const [service] = new LiveView().frame([broken, able], 0).services;
    assert.deepEqual(
      service?.nodes.map(({ actions }) => actions),
      [[], ['pause']],
    );
  });
});

describe('the feed of the live view', () => {
  it('makes a frame a second while somebody watches, and none 15 seconds later', () => {
    const time = FakeTimers.install({ now: 1_700_000_000_000, toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    try {
      let made = 0;
      const frames: LiveFrame[] = [];
      const frame = () => ({ timestamp: String(++made), version: '', status: 'healthy' as const, services: [] });
      const feed = new LiveFeed(frame, (each) => frames.push(each));
      time.tick(60_000);
      assert.equal(made, 0, 'nobody has asked yet');
      assert.equal(feed.watch().timestamp, '1');
      time.tick(10_000);
      assert.equal(feed.watch().timestamp, '11', 'who watches again gets the newest');
      time.tick(60_000);
      assert.equal(frames.length, 25);
      assert.equal(time.countTimers(), 0);
      assert.equal(feed.watch().timestamp, '26', 'a frame of a minute ago is not given out');
    } finally {
      time.uninstall();
    }
  });
});
