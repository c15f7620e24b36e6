import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { carrierOf, contextOf, type SpanRecord, Tracing } from '../../../lib/core/trace';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('a traceparent', () => {
  it('is read and written as the W3C has it', () => {
    const traceparent = `00-${TRACE}-${SPAN}-01`;
    const context = contextOf({ traceparent, tracestate: 'vendor=1' });
    assert.deepEqual(context, { traceId: TRACE, spanId: SPAN, sampled: true, state: 'vendor=1' });
    assert.deepEqual(carrierOf(context!), { traceparent, tracestate: 'vendor=1' });
    assert.equal(contextOf({ traceparent: `00-${TRACE}-${SPAN}-00` })?.sampled, false);
    assert.equal(contextOf({ traceparent: `00-${TRACE}-${SPAN}-03` })?.sampled, true, 'other flags do not matter');
    assert.ok(contextOf({ traceparent: `cc-${TRACE}-${SPAN}-01-more` }), 'a later version may say more');
  });

  const invalid = {
    'another version that is none': `ff-${TRACE}-${SPAN}-01`,
    'more than version 00 has': `00-${TRACE}-${SPAN}-01-more`,
    'a trace id of zeros': `00-${'0'.repeat(32)}-${SPAN}-01`,
    'a span id of zeros': `00-${TRACE}-${'0'.repeat(16)}-01`,
    'capital letters': `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    'a trace id that is too short': `00-${TRACE.slice(1)}-${SPAN}-01`,
  };
  for (const [what, traceparent] of Object.entries(invalid)) {
    it(`with ${what} is as good as none`, () => assert.equal(contextOf({ traceparent }), undefined));
  }

  it('never makes anything fail, whatever stands in its place', () => {
    fc.assert(fc.property(fc.anything(), (traceparent) => assert.equal(contextOf({ traceparent }), undefined)));
    assert.equal(contextOf(undefined, null, {}), undefined);
  });

  it('is looked for in one carrier after the other', () => {
    assert.equal(contextOf({}, { traceparent: 'none' }, { traceparent: `00-${TRACE}-${SPAN}-01` })?.spanId, SPAN);
  });
});

describe('tracing', () => {
  let tracing: Tracing;
  let spans: SpanRecord[];
  let stop: () => void;
  const listen = (share?: number) => {
    stop = tracing.listen((span) => spans.push(span), share);
  };

  beforeEach(() => {
    tracing = new Tracing();
    spans = [];
    listen();
  });
  afterEach(() => stop());

  it('tells of a span when it ends, once', () => {
    const span = tracing.start('work', { kind: 'client', attributes: { node: 'n1' } });
    span.set('status', 200);
    assert.equal(spans.length, 0);
    span.end();
    span.end(new Error('too late'));
    assert.equal(spans.length, 1);
    const { tookMs, startedAt, context, ...others } = spans[0]!;
    assert.ok(tookMs >= 0 && startedAt > 1_700_000_000_000);
    assert.match(carrierOf(context).traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    assert.deepEqual(others, { name: 'work', kind: 'client', links: [], attributes: { node: 'n1', status: 200 } });
  });

  it('puts what runs under a span below it, over every wait', async () => {
    const outer = tracing.start('outer');
    await tracing.run(outer.context, async () => {
      await turn();
      tracing.start('inner').end();
    });
    outer.end();
    const [inner, end] = spans;
    assert.equal(inner?.parentSpanId, end?.context.spanId);
    assert.equal(inner?.context.traceId, end?.context.traceId);
    assert.equal(tracing.current, undefined);
  });

  it('goes on with the trace that a message brings along, and begins one for those that bring none', () => {
    tracing.start('child', { parent: { traceId: TRACE, spanId: SPAN, sampled: true, state: 'a=b' } }).end();
    tracing.start('root', { parent: null }).end();
    assert.equal(spans[0]?.parentSpanId, SPAN);
    assert.deepEqual(spans[0]?.context.state, 'a=b');
    assert.notEqual(spans[1]?.context.traceId, TRACE);
    assert.equal(spans[1]?.parentSpanId, undefined);
  });

  it('does not record what the one who began the trace does not record, and passes that on', () => {
    const span = tracing.start('work', { parent: { traceId: TRACE, spanId: SPAN, sampled: false } });
    span.end();
    assert.deepEqual(spans, []);
    assert.match(carrierOf(span.context).traceparent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  });

  it('records the share of its own traces that is asked for', () => {
    stop();
    listen(0);
    tracing.start('none').end();
    assert.equal(spans.length, 0);
    stop();
    listen(0.5);
    for (let number = 0; number < 1_000; number += 1) tracing.start('some').end();
    assert.ok(spans.length > 300 && spans.length < 700, String(spans.length));
  });

  it('records nothing of what must not trace itself', async () => {
    await tracing.unrecorded(async () => {
      await turn();
      tracing.start('export').end();
    });
    assert.deepEqual(spans, []);
  });

  it('masks secrets in what failed', () => {
    tracing.start('work').end(new Error('Authorization: Bearer abcdef123456'));
    assert.match(spans[0]?.error ?? '', /Bearer \*\*\*/);
  });

  it('is off while nobody listens', () => {
    assert.equal(tracing.isOn, true);
    const span = tracing.start('work');
    stop();
    assert.equal(tracing.isOn, false);
    assert.equal(
      tracing.run(span.context, () => tracing.current),
      undefined,
    );
  });
});
