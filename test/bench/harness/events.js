// The documents of the benchmarks, the same for every contender. Plain JavaScript: see meter.js.

const { randomUUID } = require('node:crypto');

/** As JSON every document has this many bytes. */
const EVENT_BYTES = 600;
const DIGITS = 8;

/** The id of a document; all have the same length. */
function eventId(number) {
  return `e-${String(number).padStart(DIGITS, '0')}`;
}

function fields(number, description) {
  const id = eventId(number);
  return {
    '@timestamp': '2026-03-01T12:00:00.000Z',
    id,
    genesys: { topic: 'v2.operations.events.AUDIOHOOK-0001', channel: 'streaming-0-9f3c' },
    op: {
      code: 'AUDIOHOOK-0001',
      severity: 'ERROR',
      entityId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
      isAudioHook: true,
      name: 'AudioHook integration error',
      description,
      conversationId: `00000000-0000-4000-8000-0000${id.slice(-DIGITS)}`,
      errorCode: 'connection.timeout',
      timeSource: 'event',
    },
    attempt: 1,
    collector: { host: 'collector-1', version: '1.0.0' },
  };
}

const description = '.'.repeat(EVENT_BYTES - JSON.stringify(fields(0, '')).length);

/** A new document, in the shape of a normalised AudioHook event. */
function makeEvent(number) {
  return fields(number, description);
}

const transcript = '.'.repeat(300);

/** The data of a platform event of the type `call.transcribed`. */
function makeTranscript(number) {
  return { call_id: eventId(number), transcript, language: 'en-US', confidence: 0.93 };
}

/** The whole platform event, as someone makes it who has no node for that: nothing is checked. */
function makeEnvelope(number) {
  return {
    id: randomUUID(),
    type: 'call.transcribed',
    source: 'communications',
    timestamp: new Date().toISOString(),
    organizationId: 'org-1',
    userId: null,
    data: makeTranscript(number),
    metadata: { version: '1.0.0', module: 'cc-lite' },
  };
}

/** What a message of the source named so has besides its number. */
const MESSAGES = {
  document: (number, idProperty) => ({ payload: makeEvent(number), [idProperty]: eventId(number) }),
  event: (number) => ({ payload: makeTranscript(number), eventType: 'call.transcribed', organizationId: 'org-1' }),
  envelope: (number) => ({ payload: makeEnvelope(number), options: { persistent: true } }),
};

module.exports = { EVENT_BYTES, MESSAGES, eventId, makeEnvelope, makeEvent };
