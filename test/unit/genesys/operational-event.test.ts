import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { eventIdentity, readOperationalEvent, timelessIdentity } from '../../../lib/genesys/operational-event';

const CREATED = '2026-01-15T10:30:45.123Z';
const CREATED_MS = Date.parse(CREATED);
const ENTITY = '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6';
const CONVERSATION = '34c18827-5c1f-4f0e-8e52-0c5f9f6a3b11';
const PARENT = 'b1f0c2de-5a55-4c0e-9d51-3f3d1c7f2a10';

/** What both forms of an event can tell. */
interface Facts {
  code: string;
  entityId?: string | undefined;
  conversationId?: string | undefined;
  errorCode?: string | undefined;
  previousValue?: string | undefined;
  currentValue?: string | undefined;
  parent?: string | undefined;
  timeMs?: number | undefined;
}

function socketBody(facts: Facts): Record<string, unknown> {
  const { code, entityId, conversationId, errorCode, previousValue, currentValue, parent, timeMs } = facts;
  return {
    eventEntity: { id: code, name: 'AudioHook integration error', description: 'The server URI is invalid.' },
    entityId,
    entityType: 'integration',
    entityName: 'AudioHook Monitor EU',
    conversationId,
    errorCode,
    previousValue,
    currentValue,
    parentEntity: parent,
    timestamp: timeMs,
    version: '1.0',
  };
}

function notification(facts: Facts): Record<string, unknown> {
  const topicName = `v2.operations.events.${facts.code}`;
  return { topicName, version: '2', eventBody: socketBody(facts), metadata: { CorrelationId: 'c1' } };
}

function restRecord(facts: Facts): Record<string, unknown> {
  const { code, entityId, conversationId, errorCode, previousValue, currentValue, parent, timeMs } = facts;
  return {
    eventDefinition: { id: code, selfUri: `/api/v2/usage/events/definitions/${code}` },
    entityId,
    entityName: 'AudioHook Monitor EU',
    conversation: conversationId && { id: conversationId, selfUri: `/api/v2/conversations/${conversationId}` },
    errorCode,
    previousValue,
    currentValue,
    parentEntityId: parent,
    entityVersion: '1.0',
    ...(timeMs !== undefined && { dateCreated: new Date(timeMs).toISOString(), dateModified: '2026-02-01T00:00:00Z' }),
  };
}

function bridged(inner: unknown, time = '2026-01-15T10:30:46Z', id = 'bridge-1'): Record<string, unknown> {
  return {
    version: '0',
    id,
    'detail-type': 'v2.operations.events.{id}',
    source: 'aws.partner/genesys.com/cloud/organization/bus',
    time,
    detail: inner,
  };
}

const FACTS: Facts = {
  code: 'AUDIOHOOK-0001',
  entityId: ENTITY,
  conversationId: CONVERSATION,
  errorCode: 'connection.timeout',
  previousValue: 'CONNECTED',
  currentValue: 'DISCONNECTED',
  parent: PARENT,
  timeMs: CREATED_MS,
};

const identify = (input: unknown, fallbackMs = 0) => eventIdentity(readOperationalEvent(input), fallbackMs);

describe('reading an operational event', () => {
  it('takes everything from a notification of the socket', () => {
    const input = notification(FACTS);
    const { body, original, ...read } = readOperationalEvent(input);
    assert.deepEqual(read, {
      kind: 'operational',
      code: 'AUDIOHOOK-0001',
      name: 'AudioHook integration error',
      description: 'The server URI is invalid.',
      entityId: ENTITY,
      entityName: 'AudioHook Monitor EU',
      entityType: 'integration',
      parentEntityId: PARENT,
      conversationId: CONVERSATION,
      previousValue: 'CONNECTED',
      currentValue: 'DISCONNECTED',
      errorCode: 'connection.timeout',
      version: '1.0',
      timeMs: CREATED_MS,
      envelopeId: null,
      topic: 'v2.operations.events.AUDIOHOOK-0001',
      correlationId: 'c1',
    });
    assert.equal(body, input['eventBody']);
    assert.equal(original, input);
  });

  it('reads the same out of every form, as far as the form tells it', () => {
    const socket = readOperationalEvent(notification(FACTS));
    const shared = ({
      code,
      entityId,
      entityName,
      conversationId,
      parentEntityId,
      version,
      timeMs,
      kind,
    }: typeof socket) => ({
      kind,
      code,
      entityId,
      entityName,
      conversationId,
      parentEntityId,
      version,
      timeMs,
    });
    const forms = {
      body: socketBody(FACTS),
      record: restRecord(FACTS),
      'record in a notification': { topicName: 'v2.operations.events.AUDIOHOOK-0001', eventBody: restRecord(FACTS) },
      'EventBridge event': bridged(notification(FACTS)),
      'JSON text': JSON.stringify(notification(FACTS)),
      bytes: Buffer.from(JSON.stringify(restRecord(FACTS))),
      'other bytes': new Uint8Array(Buffer.from(JSON.stringify(socketBody(FACTS)))),
      'notification with its body as text': { ...notification(FACTS), eventBody: JSON.stringify(socketBody(FACTS)) },
    };
    for (const [form, input] of Object.entries(forms)) {
      assert.deepEqual(shared(readOperationalEvent(input)), shared(socket), form);
    }
  });

  it('finds name and description in an event definition that brings them along', () => {
    const eventDefinition = { id: 'AUDIOHOOK-0001', name: 'AudioHook integration error', description: 'Bad address.' };
    const read = readOperationalEvent({ ...restRecord(FACTS), eventDefinition });
    assert.equal(read.name, 'AudioHook integration error');
    assert.equal(read.description, 'Bad address.');
  });

  it('leaves null what an older or smaller event does not have', () => {
    const read = readOperationalEvent({ eventEntity: { id: 'AUDIOHOOK-0007' } });
    const { kind, code, body, original, ...rest } = read;
    assert.equal(kind, 'operational');
    assert.equal(code, 'AUDIOHOOK-0007');
    assert.deepEqual(new Set(Object.values(rest)), new Set([null]));
  });

  it('keeps an event of another kind readable', () => {
    const read = readOperationalEvent({ topicName: 'v2.users.1.presence', eventBody: { source: 'PURECLOUD' } });
    assert.equal(read.kind, 'other');
    assert.equal(read.code, null);
    assert.equal(read.topic, 'v2.users.1.presence');
    assert.deepEqual(read.body, { source: 'PURECLOUD' });
    assert.equal(readOperationalEvent({ code: 'E42' }).code, 'E42');
  });

  it('takes an event with a detail of its own for what it is', () => {
    const read = readOperationalEvent({ ...socketBody(FACTS), detail: { reason: 'x' } });
    assert.equal(read.code, 'AUDIOHOOK-0001');
  });

  it('says of anything that is no JSON object that it is broken, and keeps it', () => {
    const inputs = [
      'not JSON',
      '',
      '"text"',
      '[]',
      '12',
      'null',
      12,
      null,
      undefined,
      true,
      [],
      [{}],
      Buffer.from([0xff]),
    ];
    for (const input of inputs) {
      const read = readOperationalEvent(input);
      assert.equal(read.kind, 'broken');
      assert.equal(read.code, 'UNKNOWN');
      assert.deepEqual(read.body, {});
    }
    assert.equal(readOperationalEvent('{"eventBody":').original, '{"eventBody":');
    assert.equal(readOperationalEvent(Buffer.from('{cut')).original, '{cut');
  });

  it('never throws and always gives an identifier, whatever comes in', () => {
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });
    const shaped = fc.record(
      Object.fromEntries(
        [
          'topicName',
          'eventBody',
          'metadata',
          'detail',
          'detail-type',
          'time',
          'eventEntity',
          'timestamp',
          'dateCreated',
        ].map((name) => [
          name,
          fc.oneof(anything, fc.record({ id: anything, eventBody: anything, timestamp: anything })),
        ]),
      ),
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(anything, fc.string(), fc.json(), shaped), (input) => {
        const read = readOperationalEvent(input);
        const { kind, body, original, timeMs, ...texts } = read;
        assert.ok(timeMs === null || (Number.isInteger(timeMs) && !Number.isNaN(new Date(timeMs).getTime())));
        for (const value of Object.values(texts))
          assert.ok(value === null || (typeof value === 'string' && value !== ''));
        assert.match(eventIdentity(read, 1), /^[\w-]{27}$/);
      }),
      { numRuns: 500 },
    );
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    assert.match(identify(circular), /^[\w-]{27}$/);
  });

  describe('its time', () => {
    const timeOf = (fields: Record<string, unknown>) =>
      readOperationalEvent({ ...socketBody({ code: 'X' }), ...fields }).timeMs;

    it('may be a number of milliseconds or seconds, or ISO 8601 of any precision', () => {
      for (const timestamp of [
        CREATED_MS,
        CREATED_MS + 0.9,
        CREATED_MS / 1_000,
        String(CREATED_MS),
        CREATED,
        '2026-01-15T10:30:45.123456Z',
        '2026-01-15T10:30:45.123999999Z',
        '2026-01-15T12:30:45.123+02:00',
        '2026-01-15T12:30:45.123+0200',
        '2026-01-15T10:30:45.123',
      ]) {
        assert.equal(timeOf({ timestamp }), CREATED_MS, String(timestamp));
      }
    });

    it('is null when there is none or it makes no sense', () => {
      for (const timestamp of [
        undefined,
        null,
        '',
        'yesterday',
        0,
        -5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        1e18,
        {},
        [],
      ]) {
        assert.equal(timeOf({ timestamp }), null, String(timestamp));
      }
    });

    it('is that of an EventBridge envelope only when the event has none', () => {
      assert.equal(readOperationalEvent(bridged(notification(FACTS))).timeMs, CREATED_MS);
      const untimed = readOperationalEvent(bridged(notification({ ...FACTS, timeMs: undefined })));
      assert.equal(untimed.timeMs, Date.parse('2026-01-15T10:30:46Z'));
      assert.equal(untimed.envelopeId, 'bridge-1');
    });
  });
});

describe('the identifier of an event', () => {
  const word = fc.option(fc.string({ minLength: 1, maxLength: 4 }), { nil: undefined });
  const facts: fc.Arbitrary<Facts> = fc.record({
    code: fc.constantFrom('AUDIOHOOK-0001', 'AUDIOHOOK-0002', 'X'),
    entityId: word,
    conversationId: word,
    errorCode: word,
    previousValue: word,
    currentValue: word,
    parent: word,
    timeMs: fc.integer({ min: CREATED_MS - 5, max: CREATED_MS + 5 }),
  });

  it('is the same for all forms of the same event', () => {
    fc.assert(
      fc.property(facts, (event) => {
        const id = identify(notification(event), 1);
        assert.equal(identify(socketBody(event), 2), id);
        assert.equal(identify(restRecord(event), 3), id);
        assert.equal(identify({ topicName: 'other', eventBody: restRecord(event) }, 4), id);
        assert.equal(identify(bridged(notification(event)), 5), id);
        assert.equal(identify(JSON.stringify(notification(event)), 6), id);
      }),
    );
  });

  it('takes an empty text, null and a missing field for the same', () => {
    const id = identify(notification({ ...FACTS, errorCode: undefined }));
    assert.equal(identify(notification({ ...FACTS, errorCode: '' })), id);
    assert.equal(identify({ ...restRecord(FACTS), errorCode: null }), id);
  });

  it('differs when anything that both forms tell differs, by a millisecond or a letter', () => {
    const names = ['entityId', 'conversationId', 'errorCode', 'previousValue', 'currentValue', 'parent'] as const;
    fc.assert(
      fc.property(facts, fc.constantFrom(...names), word, (event, name, value) => {
        const other = { ...event, [name]: value };
        assert.equal(identify(restRecord(event)) === identify(notification(other)), event[name] === value);
      }),
    );
    fc.assert(
      fc.property(facts, fc.integer({ min: -2, max: 2 }), (event, laterMs) => {
        const other = { ...event, timeMs: event.timeMs! + laterMs };
        assert.equal(identify(restRecord(event)) === identify(notification(other)), laterMs === 0);
      }),
    );
    const ids = new Set([
      identify(socketBody({ code: 'X', entityId: 'a', conversationId: 'b' })),
      identify(socketBody({ code: 'X', entityId: 'b', conversationId: 'a' })),
      identify(socketBody({ code: 'X', entityId: 'a,b' })),
      identify(socketBody({ code: 'X', previousValue: 'a' })),
      identify(socketBody({ code: 'X', currentValue: 'a' })),
      identify({ ...socketBody({ code: 'X' }), currentValue: { state: 1 } }),
      identify({ ...socketBody({ code: 'X' }), currentValue: { state: 2 } }),
    ]);
    assert.equal(ids.size, 7);
  });

  it('does not depend on what only one of the forms tells', () => {
    const body = socketBody(FACTS);
    const bare = {
      ...body,
      eventEntity: { id: FACTS.code },
      entityType: undefined,
      entityName: 'renamed',
      version: '2',
    };
    assert.equal(identify(bare), identify(body));
    const record = restRecord(FACTS);
    assert.equal(identify({ ...record, dateModified: 'later', entityModifiedBy: { id: 'someone' } }), identify(record));
  });

  it('uses the fallback time and the ordinal only for an event without a time', () => {
    const timed = readOperationalEvent(notification(FACTS));
    assert.equal(eventIdentity(timed, 1, 0), eventIdentity(timed, 2, 5));
    const untimed = readOperationalEvent(notification({ ...FACTS, timeMs: undefined }));
    const ids = [eventIdentity(untimed, 1), eventIdentity(untimed, 2), eventIdentity(untimed, 1, 1)];
    assert.equal(new Set(ids).size, 3);
    assert.equal(eventIdentity(untimed, 1), eventIdentity(untimed, 1, 0));
  });

  it('tells two EventBridge events of the same second apart, and knows one that is delivered twice', () => {
    const untimed = notification({ ...FACTS, timeMs: undefined });
    assert.notEqual(identify(bridged(untimed, undefined, 'a'), 1), identify(bridged(untimed, undefined, 'b'), 1));
    assert.equal(identify(bridged(untimed, undefined, 'a'), 1), identify(bridged(untimed, undefined, 'a'), 2));
  });

  it('is made of the whole event when its fields are not known', () => {
    const presence = (status: string) => ({ topicName: 'v2.users.1.presence', eventBody: { status } });
    assert.notEqual(identify(presence('away'), 1), identify(presence('busy'), 1));
    assert.notEqual(identify('cut {', 1), identify('cut [', 1));
    assert.equal(identify('cut {', 1), identify('cut {', 1));
  });

  it('without the time is the same for a socket event that has none and its record', () => {
    fc.assert(
      fc.property(facts, (event) => {
        const untimed = readOperationalEvent(notification({ ...event, timeMs: undefined }));
        assert.equal(timelessIdentity(untimed), timelessIdentity(readOperationalEvent(restRecord(event))));
      }),
    );
  });
});
