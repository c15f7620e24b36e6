import { asObject } from '../core/answers';

/** A conversation as the list has it: nothing tells whether it has ended or grown. */
export interface CodyConversation {
  id: string;
  name: string;
  botId: string;
  /** In milliseconds since the epoch; Cody counts seconds. */
  createdAt: number;
}

/** A message as it was stored. */
export interface CodyMessage {
  id: string;
  content: string;
  /** Whether the model has made it. */
  machine: boolean;
  /** Whether making it failed: the content is an error text then. */
  failed: boolean;
  /** Whether it violates the usage policy. */
  flagged: boolean;
  /** In milliseconds since the epoch; Cody counts seconds. */
  createdAt: number;
}

/** One page of a list. */
export interface CodyPage<Item> {
  items: Item[];
  /** The number of the next page, if there is one. */
  next: number | undefined;
  /** How many pages and items there are, as far as Cody says. */
  pages: number | undefined;
  total: number | undefined;
}

/** Reads a page of a list; `undefined` when the body is none. What is no item is left out. */
export function readPage<Item>(
  body: Record<string, unknown> | undefined,
  readItem: (value: Record<string, unknown>) => Item | undefined,
): CodyPage<Item> | undefined {
  const data = body?.['data'];
  if (!Array.isArray(data)) return undefined;
  const { pagination } = (body?.['meta'] ?? {}) as { pagination?: Record<string, unknown> };
  return {
    items: data.flatMap((value) => readItem(asObject(value) ?? {}) ?? []),
    next: wholeNumber(pagination?.['next_page']),
    pages: wholeNumber(pagination?.['total_pages']),
    total: wholeNumber(pagination?.['total']),
  };
}

/** `undefined` for what has no id. */
export function readConversation(value: Record<string, unknown>): CodyConversation | undefined {
  const id = textOf(value['id']);
  if (id === '') return undefined;
  return { id, name: textOf(value['name']), botId: textOf(value['bot_id']), createdAt: timeOf(value['created_at']) };
}

/** `undefined` for what has no id. */
export function readMessage(value: Record<string, unknown>): CodyMessage | undefined {
  const id = textOf(value['id']);
  if (id === '') return undefined;
  return {
    id,
    content: textOf(value['content']),
    machine: value['machine'] === true || value['machine'] === 1,
    failed: value['failed_responding'] === true || value['failed_responding'] === 1,
    flagged: value['flagged'] === true || value['flagged'] === 1,
    createdAt: timeOf(value['created_at']),
  };
}

/** Whether a list begins with its newest item; `undefined` when its times do not tell. */
export function isNewestFirst(items: readonly { createdAt: number }[]): boolean | undefined {
  const first = items[0]?.createdAt;
  const last = items.at(-1)?.createdAt;
  return first === undefined || last === undefined || first === last ? undefined : first > last;
}

/**
 * In the order in which they were written. Cody tells no order, and several messages can share a second: then the order
 * of arrival decides, turned round for a list that begins with the newest.
 */
export function inOrder(messages: readonly CodyMessage[], newestFirst: boolean): CodyMessage[] {
  const distinct = [...new Map(messages.map((message) => [message.id, message])).values()];
  const arrived = newestFirst ? distinct.reverse() : distinct;
  return arrived.toSorted((one, other) => one.createdAt - other.createdAt);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

/** Seconds, as documented, or a date as text. */
function timeOf(value: unknown): number {
  const seconds = typeof value === 'number' ? value : Number(value);
  if (Number.isFinite(seconds)) return Math.round(seconds * 1_000);
  const parsed = Date.parse(String(value));
  return Number.isNaN(parsed) ? 0 : parsed;
}

function wholeNumber(value: unknown): number | undefined {
  const number = typeof value === 'number' ? value : Number(value ?? Number.NaN);
  return Number.isInteger(number) && number >= 0 ? number : undefined;
}
