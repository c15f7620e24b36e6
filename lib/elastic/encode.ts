import { randomBytes } from 'node:crypto';
import { ContactError, describe } from '../core/errors';
import type { IndexName } from './index-name';

/** What a document is sent as: `create` for data streams, which know nothing else. */
export type Operation = 'index' | 'create';

/** Elasticsearch refuses a whole request for one id that is longer. */
const LONGEST_ID_BYTES = 512;
const processPrefix = randomBytes(9).toString('base64url');
let lastNumber = 0;

/** A document with what the user wants to be said of it. */
export interface DocumentToSend {
  /** An object, or the JSON text of one. */
  document: unknown;
  /** Made up when left out, so that sending it twice never stores it twice. */
  id?: unknown;
  /** Used as it is, in place of the configured name. */
  index?: unknown;
}

/**
 * The two lines of a document in a bulk request. Index and id are settled here once and for all, so that a repeat
 * hours later meets the same document. Throws `INVALID_INPUT` for what is no document.
 */
export function encodeDocument(
  given: DocumentToSend,
  operation: Operation,
  indexName: IndexName,
  nowMs: number,
): string {
  const source = given.document;
  let line: string;
  let time: unknown;
  if (typeof source === 'string' || Buffer.isBuffer(source)) {
    const parsed = parse(String(source));
    time = parsed['@timestamp'];
    line = JSON.stringify(parsed);
  } else if (source !== null && typeof source === 'object' && !Array.isArray(source)) {
    time = (source as Record<string, unknown>)['@timestamp'];
    line = stringify(source);
  } else {
    throw invalid(`the payload is ${source === null ? 'null' : typeof source}`);
  }
  const id = given.id === undefined || given.id === null || given.id === '' ? madeUpId() : String(given.id);
  if (Buffer.byteLength(id) > LONGEST_ID_BYTES) throw invalid(`its id is longer than ${LONGEST_ID_BYTES} bytes`);
  const index = typeof given.index === 'string' && given.index ? given.index : indexName.at(timeOf(time, nowMs));
  return `{"${operation}":{"_index":${JSON.stringify(index)},"_id":${JSON.stringify(id)}}}\n${line}\n`;
}

/** Reads back what {@link encodeDocument} wrote. */
export function decodeDocument(body: string): { document: unknown; id: string; index: string } {
  const [action = '', document = ''] = body.split('\n', 2);
  const [target] = Object.values(JSON.parse(action) as Record<string, { _id: string; _index: string }>);
  return { document: JSON.parse(document), id: target?._id ?? '', index: target?._index ?? '' };
}

function timeOf(time: unknown, nowMs: number): number {
  if (time === undefined || time === null) return nowMs;
  const parsed = new Date(time as string | number).getTime();
  return Number.isFinite(parsed) ? parsed : nowMs;
}

function madeUpId(): string {
  lastNumber += 1;
  return `${processPrefix}-${lastNumber.toString(36)}`;
}

function stringify(document: object): string {
  try {
    return JSON.stringify(document);
  } catch (thrown) {
    throw invalid(describe(thrown));
  }
}

function parse(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw invalid(`it is text that is not JSON: ${describe(thrown)}`);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw invalid('its text holds no object');
  return value as Record<string, unknown>;
}

function invalid(answer: string): ContactError {
  return new ContactError('INVALID_INPUT', {
    attempted: 'index a document',
    answer,
    advice: 'Put an object, or the JSON text of one, into msg.payload.',
  });
}
