import { MemoryStore, type MemoryValues } from '../../../lib/store/memory';
import { ZohoAccount } from '../../../lib/zoho/account';
import { type CaseSettings, DEFAULT_FIELDS } from '../../../lib/zoho/case-settings';
import { type CaseOutcome, CaseWriter } from '../../../lib/zoho/case-writer';
import type { CaseConversation } from '../../../lib/zoho/conversation';
import { defaultZoho, type ZohoSimulator } from '../../simulators/zoho';

export const SETTINGS: CaseSettings = {
  subjectPrefix: 'Cody Chat -',
  descriptionTemplate: '{transcript}',
  timeZone: 'UTC',
  origin: 'Web',
  status: 'Closed',
  contactName: 'Cody Chat',
  fields: DEFAULT_FIELDS,
  note: false,
  longTranscript: 'attachment',
  duplicateCheck: true,
  uniqueField: 'auto',
};

/** A conversation with so many messages. */
export function conversation(id: string, messages = 2, text = 'Where is my order?'): CaseConversation {
  const lines = Array.from({ length: messages }, (_, index) => {
    const speaker = index % 2 === 0 ? 'User' : 'Assistant';
    return `${speaker} [2026-01-15 10:00:${String(index % 60).padStart(2, '0')}]: ${text} ${index}`;
  });
  return {
    id,
    name: 'A question',
    botId: 'bot',
    createdAt: '2026-01-15T10:00:00.000Z',
    transcript: lines.join('\n\n'),
    metrics: {
      messageCount: messages,
      userMessages: Math.ceil(messages / 2),
      assistantMessages: Math.floor(messages / 2),
      totalCharacters: 40,
      averageMessageLength: 20,
      durationSeconds: 1,
    },
  };
}

export interface ProcessOptions {
  settings?: Partial<CaseSettings>;
  owner?: string;
  /** What the store holds; the same for processes that share it. */
  values?: MemoryValues;
  shared?: boolean;
  timeoutMs?: number;
  claimMs?: number;
}

/** One process that makes Cases. */
export class CaseProcess {
  readonly account: ZohoAccount;
  readonly writer: CaseWriter;
  readonly state: { store: MemoryStore; shared: boolean; alone: boolean };

  constructor(zoho: ZohoSimulator, options: ProcessOptions = {}) {
    const { settings, owner = 'one', values, shared = false, timeoutMs = 500, claimMs } = options;
    this.state = { store: new MemoryStore(undefined, values), shared, alone: false };
    const { clientId, clientSecret, refreshToken } = defaultZoho;
    this.account = new ZohoAccount({
      accountsUrl: zoho.url,
      apiUrl: undefined,
      apiVersion: 'v8',
      clientId,
      clientSecret,
      refreshToken,
      store: this.state.store,
      timeoutMs,
    });
    this.writer = new CaseWriter({
      client: this.account.client,
      account: this.account.key,
      owner,
      state: this.state,
      settings: { ...SETTINGS, ...settings },
      ...(claimMs === undefined ? {} : { claimMs }),
    });
  }

  write(given: CaseConversation): Promise<CaseOutcome> {
    return this.writer.write(given, new AbortController().signal);
  }

  /** Writes until it is done, as an outbox does, but without waiting longer than `longestWaitMs`. */
  async settle(given: CaseConversation, longestWaitMs = 2_000): Promise<CaseOutcome> {
    const end = Date.now() + 18_000;
    for (;;) {
      const outcome = await this.write(given);
      const { kind } = outcome.verdict;
      if (kind === 'delivered' || kind === 'duplicate' || kind === 'rejected' || kind === 'refused') return outcome;
      if (Date.now() > end) throw outcome.verdict.error;
      const waitMs = Math.min(longestWaitMs, outcome.verdict.error.retryAfterMs ?? 20);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  close(): void {
    this.account.close();
  }
}
