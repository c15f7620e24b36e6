import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ContactError } from '../../../../lib/core/errors';
import type { SendOutcome } from '../../../../lib/genesys/messaging/submission';
import { StatusTracker } from '../../../../lib/genesys/messaging/tracker';
import type { FaultAnswer } from '../../../simulators/genesys';
import { until } from '../../until';
import { SenderHarness, textMessage } from './sender-harness';

const MESSAGE = /inbound\/open\/message$/;
const ENDLESS = Number.POSITIVE_INFINITY;

function sent(outcome: SendOutcome) {
  assert.equal(outcome.kind, 'sent', JSON.stringify(outcome));
  return outcome as Extract<SendOutcome, { kind: 'sent' }>;
}

function errorOf(outcome: SendOutcome): ContactError {
  assert.ok('error' in outcome, outcome.kind);
  return outcome.error;
}

describe('message sender', () => {
  let harness: SenderHarness;

  beforeEach(() => {
    harness = new SenderHarness();
  });

  afterEach(() => harness.close());

  const fail = (answer: FaultAnswer, times = 1, path: RegExp = MESSAGE) =>
    harness.genesys.fail({ path, times, answer });
  const arrived = () => harness.genesys.messaging.messages;

  it('sends a text, and tells that it is queued and sent', async () => {
    await harness.start();
    harness.open();
    const { record, isDuplicate } = sent(await harness.submit(textMessage('m1')));
    const [message] = arrived();
    assert.equal(message?.text, 'Hello from m1');
    assert.equal(message?.time, record.time);
    assert.equal(isDuplicate, false);
    assert.deepEqual(harness.told('m1'), ['queued', 'sent']);
    const [, event] = harness.events;
    assert.deepEqual(event, {
      messageId: 'm1',
      tenantId: 't1',
      organizationId: 'o1',
      status: 'sent',
      genesysMessageId: message?.id,
      conversationId: message?.conversationId,
      attempts: 1,
      timestamp: event?.timestamp,
      correlationId: 'c-m1',
    });
    assert.equal((await harness.records.find('m1'))?.record.status, 'sent');
    assert.equal((await harness.records.findByGenesysId(message?.id ?? ''))?.record.messageId, 'm1');
  });

  it('sends several files with one message, in the order given', async () => {
    await harness.start();
    harness.open();
    const content = ['a.png', 'b.pdf', 'c.mp4'].map((name) => ({
      contentType: 'Attachment',
      attachment: { url: `https://media.example.com/${name}` },
    }));
    sent(await harness.submit(textMessage('m1', 1, { content })));
    assert.deepEqual(arrived()[0]?.attachments, [
      { url: 'https://media.example.com/a.png', mediaType: 'Image' },
      { url: 'https://media.example.com/b.pdf', mediaType: 'File' },
      { url: 'https://media.example.com/c.mp4', mediaType: 'Video' },
    ]);
  });

  it('sends what the original service sent, in the form of the newer call', async () => {
    await harness.start();
    harness.open();
    const original = {
      metadata: { tenantId: 't1', whatsapp_message_id: 'w1', correlationId: 'c1' },
      genesysPayload: {
        id: 'w1',
        channel: {
          platform: 'Open',
          type: 'Private',
          messageId: 'w1',
          to: { id: 'integration-o1' },
          from: { nickname: 'Ada', id: '4912345', idType: 'Opaque', firstName: 'Ada' },
          time: '2026-01-15T10:30:45.000Z',
        },
        type: 'Text',
        text: 'Hello',
        direction: 'Inbound',
      },
    };
    sent(await harness.submit(original));
    assert.deepEqual([arrived()[0]?.messageId, arrived()[0]?.time], ['w1', '2026-01-15T10:30:45.000Z']);
  });

  it('refuses a message before any call, with its status, and counts it as rejected', async () => {
    await harness.start();
    const sender = harness.open();
    const outcome = await harness.submit(textMessage('m1', 1, { textBody: 'x'.repeat(2_001) }));
    assert.equal(outcome.kind, 'failed');
    assert.equal(errorOf(outcome).code, 'INVALID_INPUT');
    assert.deepEqual(harness.told('m1'), ['failed', 'dead_lettered']);
    assert.equal((await harness.submit('no JSON')).kind, 'failed');
    assert.equal(harness.genesys.requests.total, 0);
    assert.deepEqual([sender.snapshot().received, sender.snapshot().rejected], [2, 2]);
  });

  it('tells of a message that does not come again only that it has failed', async () => {
    await harness.start();
    harness.open();
    await harness.submit(textMessage('m1', 1, { from: undefined }), false);
    assert.deepEqual(harness.told('m1'), ['failed']);
  });

  it('says of an unknown tenant that it is unknown, and does not send', async () => {
    await harness.start();
    harness.open();
    const outcome = await harness.submit(textMessage('m1', 9));
    assert.equal(outcome.kind, 'failed');
    assert.match(errorOf(outcome).message, /find the tenant t9.*there is no such tenant/);
    assert.deepEqual(harness.told('m1'), ['queued', 'failed', 'dead_lettered']);
  });

  it('renews the token once after a 401', async () => {
    await harness.start();
    harness.open();
    sent(await harness.submit(textMessage('m1')));
    harness.genesys.revokeTokens('client-o1');
    sent(await harness.submit(textMessage('m2')));
    assert.equal(harness.genesys.requests.tokenRequests, 2);
    assert.equal(harness.genesys.requests.statuses[401], 1);
  });

  it('keeps the messages of an organization that refuses, and sends them when it no longer does', async () => {
    await harness.start(2);
    harness.open();
    harness.genesys.withhold(['conversation:message:receive'], 'client-o1');
    const waiting = [harness.submit(textMessage('m1')), harness.submit(textMessage('m2'))];
    await until(() => harness.sender.all()[0]?.state.state === 'refused');
    assert.match(harness.sender.all()[0]?.state.error?.message ?? '', /conversation:message:receive/);
    sent(await harness.submit(textMessage('other', 2)));
    harness.genesys.withhold([], 'client-o1');
    for (const outcome of await Promise.all(waiting)) sent(outcome);
    assert.deepEqual(harness.told('m1'), ['queued', 'sent']);
  });

  for (const [answer, code] of [
    [{ status: 400 }, 'REJECTED'],
    [{ status: 404 }, 'NOT_FOUND'],
    [{ status: 413 }, 'REJECTED'],
    [{ status: 415 }, 'REJECTED'],
  ] as const) {
    it(`puts a message aside after ${answer.status}, with its reason, and never sends it again`, async () => {
      await harness.start();
      const sender = harness.open();
      fail(answer, 100);
      const outcome = await harness.submit(textMessage('m1'));
      assert.equal(outcome.kind, 'failed');
      assert.equal(errorOf(outcome).code, code);
      assert.equal(errorOf(outcome).status, answer.status);
      assert.deepEqual(harness.told('m1'), ['queued', 'failed', 'dead_lettered']);
      assert.equal(harness.events.at(-1)?.error?.code, code);
      assert.equal(sender.snapshot().rejected, 1);
      assert.equal(harness.genesys.requests.statuses[answer.status], 1);
    });
  }

  for (const answer of [
    { status: 408 },
    { status: 500 },
    { status: 502 },
    { status: 503 },
    { status: 504 },
    'reset',
    'reset-after',
    'cut-body',
    'not-json',
    'hang',
  ] as const) {
    it(`sends it again after ${JSON.stringify(answer)}, with the same id and time`, async function () {
      this.timeout(10_000);
      await harness.start();
      harness.open({ breaker: { minimumCalls: 100 } });
      fail(answer);
      const { record } = sent(await harness.submit(textMessage('m1')));
      assert.equal(record.attempts, 2);
      assert.equal(arrived().length, 1);
      const took = answer === 'reset-after' || answer === 'cut-body';
      assert.equal(arrived()[0]?.repeats, took ? 1 : 0);
    });
  }

  it('takes a conflict for the message itself: its pair of id and time was there before', async () => {
    await harness.start(1, { repeats: 'refuse' });
    harness.open();
    fail('reset-after');
    sent(await harness.submit(textMessage('m1')));
    assert.equal(harness.genesys.requests.statuses[409], 1);
  });

  it('waits as long as a 429 asks, all messages of the organization together, and others not at all', async () => {
    await harness.start(2);
    harness.open();
    await harness.submit(textMessage('before'));
    harness.genesys.fail({
      path: /integration-o1.*message$/,
      answer: { status: 429, headers: { 'Retry-After': '1' } },
    });
    const limited = harness.submit(textMessage('m1'));
    await harness.genesys.until(() => harness.genesys.requests.statuses[429] === 1);
    const at = Date.now();
    sent(await harness.submit(textMessage('other', 2)));
    assert.ok(Date.now() - at < 900);
    await Promise.all([limited, harness.submit(textMessage('m2'))]);
    const later = harness.genesys.requests.recent.filter(
      ({ path, at: when }) => /integration-o1/.test(path) && when > at,
    );
    assert.ok(
      later.every(({ at: when }) => when - at >= 850),
      `${later.map(({ at: when }) => when - at)}`,
    );
    assert.equal(harness.sender.all()[0]?.isBreakerOpen, false);
  });

  it('heeds how many calls an organization may get at the same time when that changes', async () => {
    await harness.start();
    const sender = harness.open({}, { concurrency: 1 });
    const hanging = fail('hang', ENDLESS);
    for (const id of ['m1', 'm2', 'm3']) void harness.submit(textMessage(id));
    await until(() => hanging.hits === 1 && sender.all()[0]?.count === 3);
    const lane = sender.all()[0] ?? assert.fail();
    lane.organization.update({ ...lane.organization.settings, concurrency: 2 });
    lane.retryNow();
    await until(() => lane.snapshot().inFlight === 2);
    await sender.close(0);
  });

  it('returns messages that would have to wait longer than three minutes', async () => {
    await harness.start();
    harness.open();
    fail({ status: 429, headers: { 'Retry-After': '600' } });
    for (const id of ['m1', 'm2', 'm3']) {
      const outcome = await harness.submit(textMessage(id));
      assert.equal(outcome.kind, 'returned');
      assert.ok(outcome.kind === 'returned' && !outcome.isCounted);
      const { delayMs = 0 } = outcome;
      assert.ok(delayMs > 590_000 && delayMs <= 600_000, `${delayMs} ms`);
      assert.deepEqual(harness.told(id), ['queued']);
    }
    assert.equal(harness.genesys.requests.statuses[429], 1);
    const final = await harness.submit(textMessage('m4'), false);
    assert.equal(final.kind, 'failed');
    assert.equal(errorOf(final).retryable, true);
  });

  it('returns a message that fails again and again, as a counted attempt, while others are sent', async () => {
    await harness.start();
    harness.open();
    for (const id of ['a', 'b', 'c', 'd', 'e']) sent(await harness.submit(textMessage(id)));
    fail({ status: 500 }, 4);
    const outcome = await harness.submit(textMessage('m1'));
    assert.ok(outcome.kind === 'returned' && outcome.isCounted && outcome.attempts === 4);
    sent(await harness.submit(textMessage('m1')));
    assert.equal((await harness.records.find('m1'))?.record.attempts, 5);
  });

  it('returns messages without counting while the breaker is open, and probes until it closes', async () => {
    await harness.start();
    harness.open({ breaker: { minimumCalls: 4, openMs: 300 }, attempts: 2 });
    const fault = fail({ status: 503 }, 1_000);
    const outcomes = await Promise.all(['a', 'b', 'c', 'd'].map((id) => harness.submit(textMessage(id))));
    assert.ok(
      outcomes.every((outcome) => outcome.kind === 'returned' && !outcome.isCounted && (outcome.delayMs ?? 0) > 0),
    );
    assert.equal(harness.sender.all()[0]?.isBreakerOpen, true);
    fault.remove();
    sent(await harness.submit(textMessage('a')));
    assert.equal(harness.sender.all()[0]?.isBreakerOpen, false);
  });

  it('turns away what does not fit into the lane, later and later, and takes it when there is room', async () => {
    await harness.start();
    const now = Date.now();
    // The delays are exact only while no time passes.
    const clock = { now: () => now, setTimeout, clearTimeout };
    harness.open({ limits: { items: 5, bytes: 1_000_000 }, clock }, { concurrency: 1, rateLimitPerMinute: 600 });
    fail({ delayMs: 1_000 }, 1);
    const outcomes = Array.from({ length: 15 }, (_, n) => harness.submit(textMessage(`m${n}`)));
    const returned = (await Promise.all(outcomes)).filter((outcome) => outcome.kind === 'returned');
    // A tenth of a second for each of the five that are there, and then one after the other.
    assert.deepEqual(
      returned.map(({ delayMs, isCounted }) => [delayMs, isCounted]),
      Array.from({ length: 10 }, (_, n) => [Math.max(1_000, 500 + n * 100), false]),
    );
    sent(await harness.submit(textMessage('m14')));
  });

  it('lets slow organizations hold no more than their share when the source is nearly used up', async () => {
    await harness.start(3);
    harness.open({ attempts: 100 });
    fail({ status: 503 }, ENDLESS, /integration-o[12]/);
    const busy = { open: 16, capacity: 20 };
    const quiet = { open: 15, capacity: 20 };
    const waiting: Promise<SendOutcome>[] = [];
    for (const tenant of [1, 2]) {
      waiting.push(harness.submit(textMessage(`first-${tenant}`, tenant), true, harness.sender, busy));
    }
    await until(() => harness.sender.all().filter(({ isSlow }) => isSlow).length === 2);
    const outcomes = { 1: 0, 2: 0 };
    for (let n = 0; n < 10; n += 1) {
      for (const tenant of [1, 2] as const) {
        const outcome = harness.submit(textMessage(`m${n}-${tenant}`, tenant), true, harness.sender, busy);
        waiting.push(outcome);
        void outcome.then(({ kind }) => {
          if (kind === 'returned') outcomes[tenant] += 1;
        });
      }
    }
    // 16 places for two organizations: 8 each, of which one was taken before.
    await until(() => outcomes[1] === 3 && outcomes[2] === 3);
    assert.deepEqual(
      harness.sender.all().map(({ count }) => count),
      [8, 8],
    );
    const other = await harness.submit(textMessage('other', 3), true, harness.sender, busy);
    sent(other);
    const more = harness.submit(textMessage('more', 1), true, harness.sender, quiet);
    await until(() => harness.sender.all()[0]?.count === 9);
    harness.genesys.faults.clear();
    for (const outcome of await Promise.all([...waiting, more])) {
      if (outcome.kind === 'returned') assert.equal(outcome.isCounted, false);
      else sent(outcome);
    }
  });

  it('lets a single message through as a probe while the breaker is half open', async () => {
    await harness.start();
    harness.open({ breaker: { minimumCalls: 10, openMs: 200 }, attempts: 1_000, backoff: { baseMs: 1, maxMs: 5 } });
    fail({ status: 503 }, ENDLESS);
    const outcomes = Array.from({ length: 40 }, (_, n) => harness.submit(textMessage(`m${n}`)));
    await until(() => harness.sender.all()[0]?.isBreakerOpen === true);
    await until(() => harness.sender.all()[0]?.snapshot().inFlight === 0);
    const before = harness.genesys.requests.statuses[503] ?? 0;
    // Those that were on their way when it opened have come back: from here on every call is a probe.
    harness.genesys.faults.clear();
    const probe = fail('hang', 1);
    await until(() => probe.hits === 1);
    assert.equal(harness.sender.all()[0]?.snapshot().inFlight, 1);
    const { total } = harness.genesys.requests;
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(harness.genesys.requests.total, total, 'a second call beside the probe');
    assert.equal(harness.genesys.requests.statuses[503], before);
    for (const outcome of await Promise.all(outcomes)) sent(outcome);
    assert.equal(harness.sender.all()[0]?.isBreakerOpen, false);
  });

  describe('sent once', () => {
    it('keeps the time of a message for each time it comes', async () => {
      await harness.start();
      harness.open({ attempts: 1 });
      fail('reset-after', 1);
      assert.equal((await harness.submit(textMessage('m1'))).kind, 'returned');
      await new Promise((resolve) => setTimeout(resolve, 5));
      sent(await harness.submit(textMessage('m1')));
      assert.deepEqual([arrived().length, arrived()[0]?.repeats], [1, 1]);
      assert.deepEqual(harness.told('m1'), ['queued', 'queued', 'sent']);
      const [first, again] = harness.events;
      assert.equal(first?.timestamp, again?.timestamp);
    });

    it('keeps a time that the message names itself', async () => {
      await harness.start();
      harness.open();
      sent(await harness.submit(textMessage('m1', 1, { time: '2026-01-15T11:30:45+01:00' })));
      assert.equal(arrived()[0]?.time, '2026-01-15T11:30:45+01:00');
    });

    it('does not send a message again that was sent, and tells it once more under the same time', async () => {
      await harness.start();
      const sender = harness.open();
      sent(await harness.submit(textMessage('m1')));
      assert.equal(sent(await harness.submit(textMessage('m1'))).isDuplicate, true);
      assert.equal(harness.genesys.messaging.count, 1);
      const [first, again] = harness.events.filter(({ status }) => status === 'sent');
      assert.deepEqual(again, first);
      assert.deepEqual([sender.snapshot().delivered, sender.snapshot().duplicate], [1, 1]);
    });

    it('lets the same message wait for the one that is being sent', async () => {
      await harness.start();
      const sender = harness.open();
      fail({ delayMs: 50 });
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => harness.submit(textMessage('m1'))));
      assert.deepEqual(
        outcomes.map((outcome) => sent(outcome).isDuplicate),
        [false, true, true, true, true],
      );
      assert.equal(arrived()[0]?.repeats, 0);
      assert.deepEqual([sender.snapshot().received, sender.snapshot().duplicate], [5, 4]);
    });

    it('takes messages of two tenants with the same id for two', async () => {
      await harness.start(2);
      harness.open();
      for (const tenant of [1, 2, 1, 2]) sent(await harness.submit(textMessage('same', tenant)));
      assert.deepEqual(
        arrived().map(({ organizationId }) => organizationId),
        ['o1', 'o2'],
      );
      assert.equal((await harness.records.find('same', 't2'))?.record.tenantId, 't2');
    });

    it('tries a message that had failed once more when it comes again', async () => {
      await harness.start();
      harness.open();
      fail({ status: 400 });
      await harness.submit(textMessage('m1'));
      const { time } = (await harness.records.find('m1'))?.record ?? {};
      const { record } = sent(await harness.submit(textMessage('m1')));
      assert.equal(record.time, time);
      assert.deepEqual(harness.told('m1'), ['queued', 'failed', 'dead_lettered', 'queued', 'sent']);
    });

    it('leaves a message to another process that is busy with it, until that must be dead', async () => {
      await harness.start();
      const first = harness.open({ sharing: { processId: 'one', isAlone: () => false } });
      fail('hang', 100);
      void harness.submit(textMessage('m1'), true, first);
      await harness.genesys.until(() => harness.genesys.faults.active[0]?.hits === 1);
      let now = Date.now();
      const clock = { now: () => now, setTimeout, clearTimeout };
      const other = harness.open({ sharing: { processId: 'two', isAlone: () => false }, clock });
      const outcome = await harness.submit(textMessage('m1'), true, other);
      assert.ok(outcome.kind === 'returned' && !outcome.isCounted && (outcome.delayMs ?? 0) > 20_000);
      harness.genesys.faults.clear();
      now += 31_000;
      sent(await harness.submit(textMessage('m1'), true, other));
      assert.equal(arrived().length, 1);
      await first.close(0);
    });

    it('tells of a message that does not come again, and that another process has now, that it has failed', async () => {
      await harness.start();
      let now = Date.now();
      const clock = { now: () => now, setTimeout, clearTimeout };
      harness.open({ sharing: { processId: 'one', isAlone: () => false }, clock }, { concurrency: 1 });
      const fault = fail({ delayMs: 50 });
      const first = harness.submit(textMessage('m1'));
      await until(() => fault.hits === 1);
      const second = harness.submit(textMessage('m2'), false);
      await until(() => harness.sender.all()[0]?.count === 2);
      now += 31_000;
      const remembered = await harness.records.find('m2');
      assert.ok(remembered);
      remembered.record.holder = { id: 'two', until: now + 30_000 };
      await harness.records.save(remembered);
      sent(await first);
      const outcome = await second;
      assert.equal(outcome.kind, 'failed');
      assert.match(errorOf(outcome).message, /another process is at it/);
      assert.equal((await harness.records.find('m2'))?.record.holder?.id, 'two');
    });

    it('leaves a message delivered when its receipt was faster than the answer that it was sent', async () => {
      await harness.start();
      harness.open({ backoff: { baseMs: 200, maxMs: 200 } });
      fail('reset-after');
      const outcome = harness.submit(textMessage('m1'));
      await until(() => harness.genesys.messaging.count === 1);
      const remembered = await harness.records.find('m1');
      assert.ok(remembered);
      await new StatusTracker({ records: harness.records }).change(remembered, ['delivered']);
      const { record } = sent(await outcome);
      assert.equal(record.status, 'delivered');
      const kept = (await harness.records.find('m1'))?.record;
      assert.deepEqual(
        kept?.history.map(({ status }) => status),
        ['queued', 'delivered'],
      );
      assert.equal(kept?.genesysMessageId, arrived()[0]?.id);
      assert.deepEqual(harness.told('m1'), ['queued']);
    });

    it('lets messages without a time of their own wait while the shared store is away, and only those', async () => {
      await harness.start();
      harness.open({ sharing: { processId: 'one', isAlone: () => true } });
      const outcome = await harness.submit(textMessage('m1'));
      assert.ok(outcome.kind === 'returned' && !outcome.isCounted);
      assert.match(errorOf(outcome).message, /until Redis is back/);
      sent(await harness.submit(textMessage('m2', 1, { time: '2026-01-15T10:30:45Z' })));
      // What does not come again cannot come to another process either.
      sent(await harness.submit(textMessage('m3'), false));
    });
  });

  it('calls a message sent only when that has been told', async () => {
    await harness.start();
    harness.open();
    let open = () => {};
    harness.gate = new Promise((resolve) => {
      open = resolve;
    });
    let isDone = false;
    const outcome = harness.submit(textMessage('m1')).then((result) => {
      isDone = true;
      return result;
    });
    await until(() => harness.genesys.messaging.count === 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isDone, false);
    assert.equal(harness.sender.snapshot().inFlight, 1);
    open();
    sent(await outcome);
  });

  it('gives back what is not finished when it is closed, and takes nothing any more', async () => {
    await harness.start();
    const sender = harness.open({}, { concurrency: 2 });
    fail('hang', 100);
    const payloads = ['m1', 'm2', 'm3'].map((id) => textMessage(id));
    for (const payload of payloads) void harness.submit(payload);
    await until(() => harness.genesys.faults.active[0]?.hits === 2);
    const left = await sender.close(50);
    assert.deepEqual(new Set(left.map(({ payload }) => payload)), new Set(payloads));
    const late = await harness.submit(textMessage('m4'));
    assert.equal(late.kind, 'returned');
  });

  describe('without an agent', () => {
    const agentless = (id: string, change: Record<string, unknown> = {}) =>
      textMessage(id, 1, { mode: 'agentless', from: undefined, to: '+4912345', ...change });

    it('sends a text to the customer, with an answer or an empty one', async () => {
      for (const answerOutbound of [200, 202] as const) {
        harness = new SenderHarness();
        await harness.start(1, { answerOutbound });
        harness.open();
        const { record } = sent(await harness.submit(agentless('m1')));
        assert.equal(harness.genesys.messaging.sent[0]?.text, 'Hello from m1');
        assert.equal(record.genesysMessageId !== undefined, answerOutbound === 200);
        if (answerOutbound === 200) await harness.close();
      }
    });

    for (const answer of ['reset-after', 'cut-body', 'hang', { status: 500 }, { status: 504 }] as const) {
      it(`does not send it again after ${JSON.stringify(answer)}: it may have arrived`, async () => {
        await harness.start();
        harness.open();
        harness.genesys.fail({ path: /agentless$/, answer });
        const outcome = await harness.submit(agentless('m1'));
        assert.equal(outcome.kind, 'failed');
        assert.equal(errorOf(outcome).code, 'OUTCOME_UNKNOWN');
        assert.equal(errorOf(outcome).retryable, false);
        assert.ok(harness.genesys.messaging.sent.length <= 1);
      });
    }

    it('sends it again when Genesys has certainly taken nothing', async () => {
      await harness.start();
      harness.open();
      harness.genesys.fail({ path: /agentless$/, times: 2, answer: { status: 503 } });
      sent(await harness.submit(agentless('m1')));
      assert.equal(harness.genesys.messaging.sent.length, 1);
    });

    for (const status of [429, 500]) {
      it(`returns it when there is no token to send it with: the token endpoint answers ${status}`, async () => {
        await harness.start();
        harness.open();
        const answer = { status, headers: { 'Retry-After': '0' } };
        harness.genesys.fail({ path: /oauth\/token$/, times: ENDLESS, answer });
        const outcome = await harness.submit(agentless('m1'));
        assert.equal(outcome.kind, 'returned', JSON.stringify(outcome));
        assert.equal(errorOf(outcome).code, 'BUSY');
        assert.deepEqual(harness.told('m1'), ['queued']);
      });
    }

    it('sends it after a restart that came while it waited for its turn', async () => {
      await harness.start();
      const sender = harness.open({}, { rateLimitPerMinute: 1 });
      sent(await harness.submit(agentless('m1')));
      void harness.submit(agentless('m2'));
      await until(() => sender.all()[0]?.organization.limit.waiting === 1);
      const left = await sender.close(0);
      assert.equal(left.length, 1);
      harness.open();
      sent(await harness.submit(agentless('m2')));
    });

    it('does not send it again after the process was ended in the middle, before somebody has looked', async () => {
      await harness.start();
      const sender = harness.open();
      harness.genesys.fail({ path: /agentless$/, answer: 'hang' });
      void harness.submit(agentless('m1'));
      await harness.genesys.until(
        () => harness.genesys.requests.counts['POST /api/v2/conversations/messages/agentless'] === 1,
      );
      void sender.close(5_000);
      harness.open();
      const outcome = await harness.submit(agentless('m1'));
      assert.equal(errorOf(outcome).code, 'OUTCOME_UNKNOWN');
      assert.equal(harness.genesys.messaging.sent.length, 0);
      // Its error says that it may be sent again when it has not arrived.
      sent(await harness.submit(agentless('m1')));
      assert.equal(harness.genesys.messaging.sent.length, 1);
    });
  });

  describe('on the leg of an agent', () => {
    let files: Server;
    let fileUrl: string;

    beforeEach(async () => {
      files = createServer((request, response) => {
        if (request.url === '/moved.png') response.writeHead(302, { Location: '/a.png' }).end();
        else if (request.url === '/gone.png') response.writeHead(404).end();
        else response.writeHead(200, { 'Content-Type': 'image/png' }).end(`the bytes of ${request.url}`);
      });
      await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
      fileUrl = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
    });

    afterEach(() => {
      files.closeAllConnections();
      files.close();
    });

    async function conversation(): Promise<string> {
      await harness.submit(textMessage('begin'));
      const [{ conversationId } = { conversationId: '' }] = arrived();
      harness.genesys.messaging.connectAgent(conversationId);
      return conversationId;
    }

    const agent = (id: string, conversationId: string, change: Record<string, unknown> = {}) =>
      textMessage(id, 1, { mode: 'agent', from: undefined, conversationId, ...change });
    const file = (name: string) => ({ contentType: 'Attachment', attachment: { url: `${fileUrl}/${name}` } });

    it('sends text and files as two messages, the files in their order, after the four steps', async () => {
      await harness.start();
      harness.open();
      const conversationId = await conversation();
      sent(await harness.submit(agent('m1', conversationId, { content: [file('a.png'), file('moved.png')] })));
      const [text, media] = harness.genesys.messaging.sent;
      assert.deepEqual([text?.text, text?.mediaIds.length], ['Hello from m1', 0]);
      assert.deepEqual([media?.text, media?.mediaIds.length], [undefined, 2]);
    });

    it('goes on with the files when the text has been sent', async () => {
      await harness.start();
      harness.open();
      const conversationId = await conversation();
      harness.genesys.fail({ path: /uploads$/, times: 2, answer: { status: 503 } });
      sent(await harness.submit(agent('m1', conversationId, { content: [file('a.png')] })));
      assert.deepEqual(
        harness.genesys.messaging.sent.map(({ text }) => text),
        ['Hello from m1', undefined],
      );
    });

    it('says what is wrong: no agent, no such conversation, a type that is not let out, a file that is gone', async () => {
      await harness.start();
      harness.open();
      const conversationId = await conversation();
      const cases: [message: Record<string, unknown>, told: RegExp][] = [
        [agent('m1', 'unknown'), /not\.found/],
        [agent('m2', conversationId, { textBody: undefined, content: [file('a.pdf')] }), /content profile/],
        [agent('m3', conversationId, { textBody: undefined, content: [file('gone.png')] }), /HTTP 404/],
      ];
      for (const [message, told] of cases) {
        const outcome = await harness.submit(message);
        assert.equal(outcome.kind, 'failed', told.source);
        assert.match(errorOf(outcome).message, told);
      }
      for (const each of harness.genesys.messaging.conversations[0]?.participants ?? []) each.state = 'disconnected';
      assert.match(errorOf(await harness.submit(agent('m4', conversationId))).message, /no agent is connected/);
    });

    it('does not fail because it is stopped while Genesys examines a file', async () => {
      await harness.start();
      const sender = harness.open();
      const conversationId = await conversation();
      const examined = harness.genesys.fail({
        method: 'GET',
        path: /media\/[^/]+$/,
        times: ENDLESS,
        answer: { status: 200, body: { status: 'uploading' } },
      });
      void harness.submit(agent('m1', conversationId, { textBody: undefined, content: [file('a.png')] }));
      await until(() => examined.hits === 3);
      const left = await sender.close(0);
      assert.equal(left.length, 1);
      assert.deepEqual(harness.told('m1'), ['queued']);
      assert.equal((await harness.records.find('m1'))?.record.status, 'queued');
    });

    it('takes files only from the hosts that are allowed', async () => {
      await harness.start();
      harness.open({ mediaHosts: ['media.example.com'] });
      const conversationId = await conversation();
      const outcome = await harness.submit(
        agent('m1', conversationId, { textBody: undefined, content: [file('a.png')] }),
      );
      assert.match(errorOf(outcome).message, /files may not come from this host/);
    });

    it('is not sent again when it may have arrived', async () => {
      await harness.start();
      harness.open();
      const conversationId = await conversation();
      harness.genesys.fail({ path: /communications\/[^/]+\/messages$/, answer: 'reset-after' });
      assert.equal(errorOf(await harness.submit(agent('m1', conversationId))).code, 'OUTCOME_UNKNOWN');
      assert.equal(harness.genesys.messaging.sent.length, 1);
    });
  });
});
