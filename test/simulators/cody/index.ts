import { randomBytes } from 'node:crypto';
import { type ApiAnswer, type ApiRequest, type Fault, type FaultRule, Refusal, SimulatedApi } from '../api';

/** The order of a list, which the vendor does not document. */
export type ListOrder = 'newest-first' | 'oldest-first' | 'unsorted';

/** Settings of a {@link CodySimulator}. */
export interface CodyOptions {
  /** A free one when left out. */
  port?: number;
  apiKey?: string;
  /** Items on a page of either list; default 15. */
  pageSize?: number;
  conversationOrder?: ListOrder;
  messageOrder?: ListOrder;
  /** Requests a minute; no limit when left out. */
  requestsPerMinute?: number;
  latencyMs?: number;
  /** Milliseconds since the epoch; the machine's clock when left out. */
  now?: () => number;
}

/** A conversation as a test makes it. */
export interface ConversationOptions {
  id?: string;
  name?: string;
  botId?: string;
  /** In milliseconds since the epoch; now when left out. */
  createdAt?: number;
}

/** A message as a test makes it. */
export interface MessageOptions {
  content: string;
  /** Whether the model has made it; false when left out. */
  machine?: boolean;
  /** In milliseconds since the epoch; now when left out. */
  createdAt?: number;
  failedResponding?: boolean;
}

interface Message {
  id: string;
  content: string;
  conversation_id: string;
  machine: boolean;
  failed_responding: boolean;
  flagged: boolean;
  /** Seconds. */
  created_at: number;
}

interface Conversation {
  id: string;
  name: string;
  bot_id: string;
  created_at: number;
  messages: Message[];
}

export const defaultBot = 'bqweRT12yuio';
export const defaultApiKey = 'simulated-cody-api-key';

/**
 * The Cody AI API v1 as far as it is documented: conversations and messages, pages, the rate limit with its headers. It
 * refuses what the documentation does not have: an unknown path (such as `/conversations/{id}/messages`), and any query
 * parameter that no document or client names.
 */
export class CodySimulator {
  readonly api: SimulatedApi;
  private readonly conversations = new Map<string, Conversation>();
  private readonly options: Required<Omit<CodyOptions, 'requestsPerMinute' | 'port' | 'latencyMs'>>;
  private readonly listed = new Map<string, Conversation[]>();
  private window = { number: -1, used: 0 };
  /** Changes while the simulator runs. */
  requestsPerMinute: number | undefined;

  constructor(options: CodyOptions = {}) {
    this.options = {
      apiKey: options.apiKey ?? defaultApiKey,
      pageSize: options.pageSize ?? 15,
      conversationOrder: options.conversationOrder ?? 'newest-first',
      messageOrder: options.messageOrder ?? 'newest-first',
      now: options.now ?? Date.now,
    };
    this.requestsPerMinute = options.requestsPerMinute;
    this.api = new SimulatedApi(this.options.now, { status: 404, body: { message: 'Not Found' } });
    this.api.latencyMs = options.latencyMs ?? 0;
    const guarded = (handle: (request: ApiRequest) => unknown) => (request: ApiRequest) => this.guard(request, handle);
    this.api.route(
      { method: 'GET', path: '/api/v1/bots', handle: guarded(() => this.bots()) },
      { method: 'GET', path: '/api/v1/conversations', handle: guarded((request) => this.listConversations(request)) },
      {
        method: 'GET',
        path: '/api/v1/conversations/{id}',
        handle: guarded((request) => this.oneConversation(request)),
      },
      { method: 'GET', path: '/api/v1/messages', handle: guarded((request) => this.listMessages(request)) },
    );
  }

  /** What the environment variable CODY_API_URL names. */
  get url(): string {
    return `${this.api.url}/api/v1`;
  }

  /** Calls of the two lists so far. */
  get calls(): { conversations: number; messages: number } {
    const { counts } = this.api;
    return {
      conversations: counts['GET /api/v1/conversations'] ?? 0,
      messages: counts['GET /api/v1/messages'] ?? 0,
    };
  }

  /** Adds a conversation without messages. Gives back its id. */
  converse({ id = newId(), name = 'A question', botId = defaultBot, createdAt }: ConversationOptions = {}): string {
    const created_at = seconds(createdAt ?? this.options.now());
    this.listed.clear();
    this.conversations.set(id, { id, name, bot_id: botId, created_at, messages: [] });
    return id;
  }

  /** Adds a message to a conversation. */
  say(conversationId: string, message: MessageOptions): void {
    const { content, machine = false, createdAt, failedResponding = false } = message;
    this.conversation(conversationId).messages.push({
      id: newId(),
      content,
      conversation_id: conversationId,
      machine,
      failed_responding: failedResponding,
      flagged: false,
      created_at: seconds(createdAt ?? this.options.now()),
    });
  }

  /** Adds a conversation with a question and an answer. */
  chat(options: ConversationOptions & { text?: string } = {}): string {
    const { text = 'Where is my order?', ...conversation } = options;
    const id = this.converse(conversation);
    const at = options.createdAt === undefined ? {} : { createdAt: options.createdAt };
    this.say(id, { content: text, ...at });
    this.say(id, { content: `About: ${text}`, machine: true, ...at });
    return id;
  }

  /** Takes a conversation away. */
  forget(conversationId: string): void {
    this.listed.clear();
    this.conversations.delete(conversationId);
  }

  get ids(): string[] {
    return [...this.conversations.keys()];
  }

  fail(rule: FaultRule): Fault {
    return this.api.fail(rule);
  }

  close(): Promise<void> {
    return this.api.close();
  }

  private guard(request: ApiRequest, handle: (request: ApiRequest) => unknown): ApiAnswer {
    const { authorization } = request.headers;
    if (authorization !== `Bearer ${this.options.apiKey}`) {
      return { status: 401, body: { message: 'Unauthenticated.' } };
    }
    const limit = this.countedLimit();
    if (limit.exceeded) return { status: 429, headers: limit.headers, body: { message: 'Too Many Attempts.' } };
    try {
      return { status: 200, headers: limit.headers, body: handle(request) };
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      return { ...thrown.answer, headers: limit.headers };
    }
  }

  private countedLimit(): { exceeded: boolean; headers: Record<string, string> } {
    const limit = this.requestsPerMinute;
    if (limit === undefined) return { exceeded: false, headers: {} };
    const now = this.options.now();
    const number = Math.floor(now / 60_000);
    if (this.window.number !== number) this.window = { number, used: 0 };
    this.window.used += 1;
    const exceeded = this.window.used > limit;
    const reset = (number + 1) * 60;
    const headers: Record<string, string> = {
      'x-ratelimit-limit': String(limit),
      'x-ratelimit-remaining': String(Math.max(0, limit - this.window.used)),
      ...(exceeded
        ? { 'x-ratelimit-reset': String(reset), 'retry-after': String(Math.ceil(reset - now / 1_000)) }
        : {}),
    };
    return { exceeded, headers };
  }

  private bots(): unknown {
    const ids = [...new Set([defaultBot, ...[...this.conversations.values()].map(({ bot_id }) => bot_id)])];
    return { data: ids.map((id) => ({ id, name: `Bot ${id}`, created_at: 0 })) };
  }

  private listConversations({ query }: ApiRequest): unknown {
    onlyParameters(query, ['bot_id', 'keyword', 'includes', 'page']);
    const bot = query.get('bot_id');
    const keyword = query.get('keyword');
    // A list of thousands is walked page by page: it is sorted once for each of its states.
    const key = JSON.stringify([bot, keyword]);
    const listed = this.listed.get(key) ?? sorted(this.matching(bot, keyword), this.options.conversationOrder);
    this.listed.set(key, listed);
    return this.page(query, listed, ({ messages: _own, ...conversation }) => conversation);
  }

  private matching(bot: string | null, keyword: string | null): Conversation[] {
    return [...this.conversations.values()].filter(
      ({ bot_id, name }) => (bot === null || bot_id === bot) && (keyword === null || name.includes(keyword)),
    );
  }

  private oneConversation({ query, parameters }: ApiRequest): unknown {
    onlyParameters(query, ['includes']);
    const { messages: _own, ...conversation } = this.conversation(parameters['id'] ?? '');
    return { data: conversation };
  }

  private listMessages({ query }: ApiRequest): unknown {
    onlyParameters(query, ['conversation_id', 'includes', 'page']);
    const id = query.get('conversation_id');
    if (!id) throw invalid('conversation_id', 'The conversation id field is required.');
    return this.page(query, sorted(this.conversation(id).messages, this.options.messageOrder), (message) => message);
  }

  private page<Item>(query: URLSearchParams, items: readonly Item[], shown: (item: Item) => unknown): unknown {
    const { pageSize } = this.options;
    const page = Number(query.get('page') ?? 1);
    if (!Number.isInteger(page) || page < 1) throw invalid('page', 'The page must be an integer.');
    const pages = Math.max(1, Math.ceil(items.length / pageSize));
    const data = items.slice((page - 1) * pageSize, page * pageSize).map(shown);
    const pagination = {
      count: data.length,
      total: items.length,
      per_page: pageSize,
      current_page: page,
      total_pages: pages,
      next_page: page < pages ? page + 1 : null,
      previous_page: page > 1 ? page - 1 : null,
    };
    return { data, meta: { pagination } };
  }

  private conversation(id: string): Conversation {
    const found = this.conversations.get(id);
    if (!found) throw new Refusal({ status: 404, body: { message: 'Resource not found.' } });
    return found;
  }
}

/** Starts a simulated Cody. */
export async function startCodySimulator(options: CodyOptions = {}): Promise<CodySimulator> {
  const simulator = new CodySimulator(options);
  await simulator.api.listen(options.port);
  return simulator;
}

function newId(): string {
  return randomBytes(9).toString('base64url').replace(/[-_]/g, 'x');
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

function invalid(field: string, message: string): Refusal {
  return new Refusal({ status: 422, body: { message: 'The given data was invalid.', errors: { [field]: [message] } } });
}

function onlyParameters(query: URLSearchParams, known: string[]): void {
  for (const name of query.keys()) {
    if (!known.includes(name)) throw invalid(name, `The parameter ${name} is not documented.`);
  }
}

/** The newest of a list is the one that was added last where the seconds are the same. */
function sorted<Item extends { created_at: number; id: string }>(items: readonly Item[], order: ListOrder): Item[] {
  if (order === 'unsorted') return items.toSorted((one, other) => (hash(one.id) < hash(other.id) ? -1 : 1));
  const oldestFirst = items.toSorted((one, other) => one.created_at - other.created_at);
  return order === 'oldest-first' ? oldestFirst : oldestFirst.reverse();
}

function hash(text: string): string {
  return [...text].reverse().join('');
}
