// The documents of the benchmarks, the same for every contender. Plain JavaScript: see meter.js.

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

module.exports = { EVENT_BYTES, eventId, makeEvent };
