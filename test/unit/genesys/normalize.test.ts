import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type EventMessage, Normalizer, type NormalizerOptions } from '../../../lib/genesys/normalize';
import { eventIdentity, readOperationalEvent } from '../../../lib/genesys/operational-event';
import {
  DEFAULT_SEVERITY_WORDS,
  SEVERITIES,
  type SeverityMap,
  severityClass,
  severityMapProblem,
  severityRule,
} from '../../../lib/genesys/severity';

const ARRIVAL_MS = Date.parse('2026-01-15T10:30:50.000Z');
const EVENT_MS = Date.parse('2026-01-15T10:30:45.123Z');

const NOTIFICATION = {
  topicName: 'v2.operations.events.AUDIOHOOK-0001',
  version: '2',
  eventBody: {
    eventEntity: {
      id: 'AUDIOHOOK-0001',
      name: 'AudioHook integration error',
      description: 'The provisioned server URI is invalid.',
    },
    entityId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
    entityType: 'integration',
    entityName: 'AudioHook Monitor EU',
    conversationId: '34c18827-5c1f-4f0e-8e52-0c5f9f6a3b11',
    errorCode: 'connection.timeout',
    timestamp: EVENT_MS,
    version: '1.0',
  },
  metadata: { CorrelationId: 'c1' },
};
const RECORD = {
  eventDefinition: { id: 'AUDIOHOOK-0001', selfUri: '/api/v2/usage/events/definitions/AUDIOHOOK-0001' },
  entityId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
  entityName: 'AudioHook Monitor EU',
  conversation: { id: '34c18827-5c1f-4f0e-8e52-0c5f9f6a3b11', selfUri: '/api/v2/conversations/34c18827' },
  errorCode: 'connection.timeout',
  dateCreated: '2026-01-15T10:30:45.123Z',
};

function normalizer(options: Partial<NormalizerOptions> = {}): Normalizer {
  const clock = { now: () => ARRIVAL_MS, setTimeout, clearTimeout };
  return new Normalizer({ host: 'host-1', instance: 'collector-1', version: '1.2.3', clock, ...options });
}

const documentOf = (message: EventMessage, options?: Partial<NormalizerOptions>) =>
  normalizer(options).normalize(message).document;
const opOf = (payload: unknown) => documentOf({ payload }).op;

describe('the document of an event', () => {
  it('has the fields of the original service and those added to them', () => {
    const message = {
      payload: NOTIFICATION,
      receivedAt: ARRIVAL_MS + 7,
      genesys: { channel: 'channel-1' },
      correlationId: 'from-the-message',
    };
    assert.deepEqual(documentOf(message), {
      '@timestamp': '2026-01-15T10:30:45.123Z',
      genesys: { topic: 'v2.operations.events.AUDIOHOOK-0001', channel: 'channel-1' },
      op: {
        code: 'AUDIOHOOK-0001',
        severity: 'ERROR',
        entityId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
        integrationId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
        component: null,
        isAudioHook: true,
        name: 'AudioHook integration error',
        description: 'The provisioned server URI is invalid.',
        conversationId: '34c18827-5c1f-4f0e-8e52-0c5f9f6a3b11',
        participantId: null,
        errorCode: 'connection.timeout',
        entityName: 'AudioHook Monitor EU',
        entityType: 'integration',
        timeSource: 'event',
      },
      event: NOTIFICATION,
      collector: {
        host: 'host-1',
        instance: 'collector-1',
        version: '1.2.3',
        collectedAt: '2026-01-15T10:30:50.007Z',
      },
      correlationId: 'from-the-message',
    });
  });

  it('has the same identifier and the same facts for the record of the REST query', () => {
    const socket = normalizer().normalize({ payload: NOTIFICATION });
    const rest = normalizer().normalize({ payload: RECORD, topic: 'v2.operations.events.AUDIOHOOK-0001' });
    assert.equal(rest.id, socket.id);
    assert.equal(rest.document['@timestamp'], socket.document['@timestamp']);
    assert.deepEqual(rest.document.genesys, socket.document.genesys);
    const { code, entityId, conversationId, errorCode, isAudioHook, severity } = socket.document.op;
    const facts = { code, entityId, conversationId, errorCode, isAudioHook, severity };
    assert.deepEqual({ ...rest.document.op, ...facts }, rest.document.op);
  });

  it('takes topic and correlation from wherever they are', () => {
    assert.equal(
      documentOf({ payload: NOTIFICATION.eventBody, topic: 'of the message' }).genesys.topic,
      'of the message',
    );
    assert.equal(documentOf({ payload: NOTIFICATION, topic: 'of the message' }).genesys.topic, NOTIFICATION.topicName);
    assert.equal(documentOf({ payload: NOTIFICATION }).correlationId, 'c1');
    assert.equal(documentOf({ payload: RECORD }).correlationId, null);
  });

  it('has the time of arrival, and says so, when the event has none', () => {
    const { timestamp, ...eventBody } = NOTIFICATION.eventBody;
    const document = documentOf({ payload: { ...NOTIFICATION, eventBody }, receivedAt: ARRIVAL_MS });
    assert.equal(document['@timestamp'], '2026-01-15T10:30:50.000Z');
    assert.equal(document.op.timeSource, 'arrival');
    assert.equal(timestamp, EVENT_MS);
  });

  it('knows the integration only when the type of the entity names one', () => {
    const body = NOTIFICATION.eventBody;
    assert.equal(opOf({ ...body, entityType: 'INTEGRATION' }).integrationId, body.entityId);
    assert.equal(opOf({ ...body, entityType: 'AudioHookIntegration' }).integrationId, body.entityId);
    assert.equal(opOf({ ...body, entityType: 'conversation' }).integrationId, null);
    assert.equal(opOf({ ...body, entityType: undefined }).integrationId, null);
  });

  it('finds AudioHook in code, component, name and topic, in any case, and nowhere else', () => {
    const code = (id: string, more: object = {}) => ({ eventEntity: { id, ...more } });
    assert.equal(opOf(code('AUDIOHOOK-0099')).isAudioHook, true);
    assert.equal(opOf(code('X-1', { name: 'AudioHook probe' })).isAudioHook, true);
    assert.equal(opOf({ component: 'audiohook-monitor' }).isAudioHook, true);
    assert.equal(opOf({ topicName: 'platform.integration.AudioHook', eventBody: {} }).isAudioHook, true);
    assert.equal(opOf({ ...code('DATAACTIONS-0002'), entityName: 'AudioHook Monitor EU' }).isAudioHook, false);
    assert.equal(opOf({ code: 'audio', component: 'hook' }).isAudioHook, false);
  });

  it('honours the names that other events use for the same things', () => {
    const cases: [payload: object, expected: object][] = [
      [{ eventDefinitionId: 'D-1' }, { code: 'D-1' }],
      [{ code: 'C-1', eventId: 'E-1' }, { code: 'C-1' }],
      [{ eventId: 'E-1' }, { code: 'E-1' }],
      [{ severity: 'critical' }, { severity: 'CRITICAL' }],
      [{ level: 'warn' }, { severity: 'WARN' }],
      [{ logLevel: 'Debug' }, { severity: 'DEBUG' }],
      [{ conversationId: 'conversation' }, { entityId: 'conversation', conversationId: 'conversation' }],
      [{ deploymentId: 'deployment' }, { entityId: 'deployment' }],
      [{ sessionId: 'session' }, { entityId: 'session' }],
      [{ integrationId: 'i-1', integration: 'i-2' }, { integrationId: 'i-1' }],
      [{ integration: 'i-2' }, { integrationId: 'i-2' }],
      [{ integrationName: 'i-3' }, { integrationId: 'i-3' }],
      [{ component: 'a', source: 'b', service: 'c' }, { component: 'a' }],
      [{ source: 'b', service: 'c' }, { component: 'b' }],
      [{ service: 'c' }, { component: 'c' }],
      [{ participantId: 'p-1' }, { participantId: 'p-1' }],
      [{ participant: { id: 'p-2' } }, { participantId: 'p-2' }],
    ];
    for (const [payload, expected] of cases) {
      for (const form of [payload, { topicName: 'x', eventBody: payload }]) {
        const op = opOf(form);
        assert.deepEqual({ ...op, ...expected }, op, JSON.stringify(payload));
      }
    }
  });

  it('keeps what cannot be read, with its text', () => {
    const cases: [payload: unknown, raw: string][] = [
      ['{"eventBody": cut', '{"eventBody": cut'],
      [Buffer.from('not JSON'), 'not JSON'],
      ['[1,2]', '[1,2]'],
      [42, '42'],
      [null, 'null'],
      [undefined, 'undefined'],
    ];
    for (const [payload, raw] of cases) {
      const { document } = normalizer().normalize({ payload, topic: 'somewhere' });
      assert.deepEqual(document.event, { raw });
      assert.equal(document.op.code, 'UNKNOWN');
      assert.equal(document.op.timeSource, 'arrival');
      assert.equal(document.genesys.topic, 'somewhere');
    }
  });

  it('holds nothing outside of event but texts, booleans and null, so that types never clash in an index', () => {
    const anything = fc.anything({ withBigInt: true, withNullPrototype: true });
    const names = [
      'code',
      'severity',
      'entityId',
      'component',
      'participant',
      'currentValue',
      'timestamp',
      'eventEntity',
    ];
    const body = fc.record(Object.fromEntries(names.map((name) => [name, anything])), { requiredKeys: [] });
    const message = fc.record(
      {
        payload: fc.oneof(anything, body, fc.record({ topicName: anything, eventBody: body, metadata: anything })),
        topic: anything,
        eventId: anything,
        receivedAt: anything,
        genesys: anything,
        correlationId: anything,
        enrich: anything,
      },
      { requiredKeys: [] },
    );
    const shared = normalizer();
    fc.assert(
      fc.property(message, (given) => {
        const { id, document } = shared.normalize(given);
        assert.ok(id.length > 0 && Buffer.byteLength(id) <= 512);
        assert.match(document['@timestamp'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.match(document.collector.collectedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        const { event, op, genesys, collector, labels, ...rest } = document;
        assert.ok(typeof event === 'object' && event !== null && !Array.isArray(event));
        assert.equal(typeof op.isAudioHook, 'boolean');
        assert.equal(typeof op.severity, 'string');
        const { isAudioHook, ...texts } = op;
        for (const value of Object.values({ ...texts, ...genesys, ...collector, ...rest })) {
          assert.ok(value === null || typeof value === 'string');
        }
        for (const value of Object.values(labels ?? {})) assert.equal(typeof value, 'string');
      }),
      { numRuns: 500 },
    );
  });

  it('carries the labels of the node and, over them, those of the message, all as texts', () => {
    const options = { labels: { site: 'Berlin', shard: 3, nothing: null } };
    assert.deepEqual(documentOf({ payload: NOTIFICATION }, options).labels, { site: 'Berlin', shard: '3' });
    const enrich = { site: 'Paris', owner: { team: 'voice' } };
    assert.deepEqual(documentOf({ payload: NOTIFICATION, enrich }, options).labels, {
      site: 'Paris',
      shard: '3',
      owner: '{"team":"voice"}',
    });
    assert.equal('labels' in documentOf({ payload: NOTIFICATION }), false);
    assert.equal('labels' in documentOf({ payload: NOTIFICATION, enrich: 'no object' }), false);
  });
});

describe('the identifier of a document', () => {
  const untimed = { eventEntity: { id: 'AUDIOHOOK-0001' } };

  it('is the one the source has given, unless Elasticsearch could not take it', () => {
    assert.equal(normalizer().normalize({ payload: NOTIFICATION, eventId: 'given' }).id, 'given');
    const own = normalizer().normalize({ payload: NOTIFICATION }).id;
    assert.equal(own, eventIdentity(readOperationalEvent(NOTIFICATION), 0));
    for (const eventId of ['', 'x'.repeat(513), 'ü'.repeat(257), {}, null]) {
      assert.equal(normalizer().normalize({ payload: NOTIFICATION, eventId }).id, own);
    }
  });

  it('of an event without a time depends on when its message came in, and on its place in the message', () => {
    const idOf = (receivedAt: number, index = 0) => normalizer().normalize({ payload: untimed, receivedAt }, index).id;
    assert.equal(idOf(1_000), idOf(1_000));
    assert.equal(new Set([idOf(1_000), idOf(1_001), idOf(1_000, 1)]).size, 3);
  });

  it('keeps apart all events without a time, even in the same millisecond', () => {
    const one = normalizer();
    const ids = Array.from({ length: 50 }, (_, index) => one.normalize({ payload: index % 2 ? untimed : 'broken' }).id);
    assert.equal(new Set(ids).size, 50);
  });
});

describe('the severity of an event', () => {
  const severity = (
    texts: { name?: string; description?: string; errorCode?: string; currentValue?: string },
    map?: SeverityMap,
  ) => {
    const { name, description, ...body } = texts;
    return severityRule(map)(
      readOperationalEvent({ eventEntity: { id: 'AUDIOHOOK-0001', name, description }, ...body }),
    );
  };

  it('follows from words in name, description, error code or current value', () => {
    assert.equal(severity({ name: 'AudioHook integration error' }), 'ERROR');
    assert.equal(severity({ description: 'The server did not answer: request timed out.' }), 'ERROR');
    assert.equal(severity({ errorCode: 'connection.timeout' }), 'ERROR');
    assert.equal(severity({ errorCode: 'CONNECTION_TIMEOUT' }), 'ERROR');
    assert.equal(severity({ errorCode: 'connectionTimeout' }), 'ERROR');
    assert.equal(severity({ currentValue: 'DISCONNECTED' }), 'ERROR');
    assert.equal(severity({ name: 'Authentication failure' }), 'ERROR');
    assert.equal(severity({ name: 'Slow answers of the server' }), 'WARNING');
    assert.equal(severity({ currentValue: 'INACTIVE' }), 'WARNING');
    assert.equal(severity({ currentValue: 'ACTIVE' }), 'INFO');
    assert.equal(severity({ name: 'Connection restored' }), 'INFO');
    assert.equal(severity({ name: 'Something else' }), 'INFO');
    assert.equal(severity({}), 'INFO');
  });

  it('takes the most severe of several words', () => {
    assert.equal(severity({ name: 'Retry after an error', currentValue: 'ACTIVE' }), 'ERROR');
    assert.equal(severity({ name: 'Slow', currentValue: 'ACTIVE' }), 'WARNING');
  });

  it('counts a word only where it begins one', () => {
    const map: SeverityMap = { words: { CRITICAL: ['age', 'c++ (x)', 'überlast'] }, default: 'NOTICE' };
    assert.equal(severity({ name: 'message' }, map), 'NOTICE');
    assert.equal(severity({ name: 'old.age' }, map), 'CRITICAL');
    assert.equal(severity({ name: 'oldAge' }, map), 'CRITICAL');
    assert.equal(severity({ name: 'ages' }, map), 'CRITICAL');
    assert.equal(severity({ name: 'in C++ (X) code' }, map), 'CRITICAL');
    assert.equal(severity({ name: 'ÜBERLAST' }, map), 'CRITICAL');
  });

  it('is decided by the code before anything else', () => {
    const map: SeverityMap = { codes: { 'audiohook-0001': 'NOTICE' } };
    assert.equal(severity({ name: 'error' }, map), 'NOTICE');
    assert.equal(severityRule(map)(readOperationalEvent({ code: 'AudioHook-0001', level: 'error' })), 'NOTICE');
    assert.equal(severityRule({ codes: { UNKNOWN: 'WARNING' } })(readOperationalEvent('cut {')), 'WARNING');
  });

  it('lets the user replace the words of one severity and the default', () => {
    const map: SeverityMap = { words: { ERROR: ['probe'], INFO: [] }, default: 'DEBUG' };
    assert.equal(severity({ name: 'probe' }, map), 'ERROR');
    assert.equal(severity({ name: 'slow' }, map), 'WARNING');
    assert.equal(severity({ name: 'failed' }, map), 'DEBUG');
    assert.equal(severity({ name: 'restored' }, map), 'DEBUG');
  });

  it('decides the same for the same texts however many others it has seen', () => {
    const rule = severityRule();
    const event = (name: string) => readOperationalEvent({ eventEntity: { id: 'X', name } });
    for (let number = 0; number < 5_000; number += 1) {
      assert.equal(rule(event(`number ${number}`)), 'INFO');
      assert.equal(rule(event('error')), 'ERROR');
    }
  });

  it('is counted as the original service did', () => {
    assert.deepEqual(
      SEVERITIES.map((each) => severityClass(each)),
      ['error', 'error', 'error', 'warning', 'warning', 'info', 'info', 'info'],
    );
    assert.equal(severityClass('VERBOSE'), 'info');
  });

  describe('as a map', () => {
    it('is good when it is empty, complete, or what is shipped', () => {
      for (const map of [
        {},
        { codes: {}, words: {}, default: 'WARNING' },
        { codes: { 'AUDIOHOOK-0001': 'CRITICAL' }, words: { WARN: ['x'] } },
        { words: DEFAULT_SEVERITY_WORDS },
      ]) {
        assert.equal(severityMapProblem(map), undefined);
      }
    });

    it('names the entry that is wrong', () => {
      const problems: [map: unknown, named: RegExp][] = [
        [[], /an object with codes, words and default/],
        ['x', /an object with codes, words and default/],
        [{ code: {} }, /"code"/],
        [{ codes: [] }, /whose codes/],
        [{ codes: { 'A-1': 'error' } }, /codes\.A-1 is one of CRITICAL, SEVERE, ERROR/],
        [{ codes: { 'A-1': null } }, /codes\.A-1/],
        [{ words: 'error' }, /whose words/],
        [{ words: { EROR: ['x'] } }, /words\.EROR/],
        [{ words: { ERROR: 'x' } }, /words\.ERROR is a list/],
        [{ words: { ERROR: ['x', ' '] } }, /words\.ERROR\[1\]/],
        [{ words: { ERROR: [1] } }, /words\.ERROR\[0\]/],
        [{ default: 'info' }, /default is one of/],
      ];
      for (const [map, named] of problems) assert.match(severityMapProblem(map) ?? '', named);
    });
  });
});
