import { randomBytes } from 'node:crypto';
import { ContactError, describe } from '../core/errors';
import type { IndexName } from './index-name';

/** What a document is sent as: `create` for data streams, which know nothing else. */
export type Operation = 'index' | 'create';

/** Elasticsearch refuses a whole request for one id that is longer. */
const LONGEST_ID_BYTES = 512;
const processPrefix = randomBytes(9).toString('base64url');
let lastNumber = 0;
let lastAction = { operation: '', index: '', text: '' };

/** A document with what the user wants to be said of it. */
export interface DocumentToSend {
  /** An object, or the JSON text of one. */
  document: unknown;
  /** A text or a number. Made up when left out, so that sending it twice never stores it twice. */
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
  const { document } = given;
  const isText = typeof document === 'string' || Buffer.isBuffer(document);
  const source = isText ? parse(String(document)) : document;
  const line = stringify(source);
  const isNamed = typeof given.index === 'string' && given.index !== '';
  const index = isNamed ? given.index : indexName.at((source as Record<string, unknown>)['@timestamp'], nowMs);
  return `${actionLine(operation, index as string)}${JSON.stringify(readId(given.id))}}}\n${line}\n`;
}

/** The first line of a document as far as neighbours have it in common: it is kept for the next one. */
function actionLine(operation: Operation, index: string): string {
  if (operation !== lastAction.operation || index !== lastAction.index) {
    lastAction = { operation, index, text: `{"${operation}":{"_index":${JSON.stringify(index)},"_id":` };
  }
  return lastAction.text;
}

/** Reads back what {@link encodeDocument} wrote. */
export function decodeDocument(body: string): { document: unknown; id: string; index: string } {
  const [action = '', document = ''] = body.split('\n', 2);
  const [target] = Object.values(JSON.parse(action) as Record<string, { _id: string; _index: string }>);
  return { document: JSON.parse(document), id: target?._id ?? '', index: target?._index ?? '' };
}

function readId(id: unknown): string {
  if (id === undefined || id === null || id === '') return madeUpId();
  if (typeof id !== 'string' && typeof id !== 'number') throw invalid(`its id is of the type ${typeof id}`);
  const text = String(id);
  // A character has three bytes at most.
  const isLong = text.length * 3 > LONGEST_ID_BYTES && Buffer.byteLength(text) > LONGEST_ID_BYTES;
  if (isLong) throw invalid(`its id is longer than ${LONGEST_ID_BYTES} bytes`);
  return text;
}

function madeUpId(): string {
  lastNumber += 1;
  return `${processPrefix}-${lastNumber.toString(36)}`;
}

function stringify(document: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(document);
  } catch (thrown) {
    throw invalid(describe(thrown));
  }
  // What an object becomes is its own affair (`toJSON`), and a date, say, becomes a text.
  if (!text?.startsWith('{')) throw invalid(`the payload is ${text?.slice(0, 60) ?? typeof document}`);
  return text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw invalid(`it is text that is not JSON: ${describe(thrown)}`);
  }
}

function invalid(answer: string): ContactError {
  return new ContactError('INVALID_INPUT', {
    attempted: 'index a document',
    answer,
    advice: 'Put an object, or the JSON text of one, into msg.payload.',
  });
}
