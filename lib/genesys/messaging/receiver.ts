import { parseJson } from '../../core/answers';
import { type Clock, delay, systemClock } from '../../core/clock';
import { ContactError, describe, toContactError } from '../../core/errors';
import { type Logger, silentLogger } from '../../core/log';
import type { StateStore } from '../../store/store';
import type { TenantOrganization } from '../tenants/tenant';
import { type Incoming, incomingKey, type Receipt, readIncoming, readReceipt } from './incoming';
import { type MessageRecord, RECEIPT_WAITS_MS } from './record';
import type { MessageRecords, Remembered } from './records';
import { isSigned } from './signature';
import type { StatusTracker } from './tracker';

/** Something that Genesys has posted, with what is known about it. */
export interface Received {
  incoming: Incoming;
  organization: TenantOrganization | undefined;
  /** Of a receipt: what it says, and the message it is about. */
  receipt?: Receipt;
  record?: MessageRecord;
}

/** What Genesys is answered. */
export interface WebhookAnswer {
  status: 200 | 400 | 401 | 503;
  /** What became of it, in one word. */
  outcome: 'taken' | 'duplicate' | 'forged' | 'unreadable' | 'not-now';
}

/** What a webhook has done, in numbers since it was created. */
export interface WebhookCounts {
  received: number;
  messages: number;
  receipts: number;
  events: number;
  duplicates: number;
  forged: number;
  unreadable: number;
  /** Not taken in time, or not at this moment: Genesys posts it again. */
  notNow: number;
}

/** Settings of a {@link WebhookReceiver}. */
export interface WebhookReceiverOptions {
  secret: string | undefined;
  store: StateStore;
  records: MessageRecords;
  tracker: StatusTracker;
  /** The organization that has an integration. */
  organizationOf(integrationId: string): TenantOrganization | undefined;
  /** Hands it on. Resolves when it may be called done; what it rejects with makes Genesys post it again. */
  emit(received: Received): Promise<void>;
  /** How long `emit` may take, in milliseconds: the vendor waits ten seconds for an answer. Default 8,000. */
  answerWithinMs?: number;
  clock?: Clock;
  logger?: Logger;
}

/** The vendor posts again for 85 s; someone who has stolen a body may do so later. */
const REMEMBERED_MS = 86_400_000;
/** Another process that was ended in the middle holds a body no longer than this. */
const CLAIM_MS = 15_000;
const KNOWN_WITHIN_MS = 1_000;
const LOOK_AGAIN_MS = 50;

/**
 * Takes what Genesys posts to the webhook: checks the signature, recognizes what it has seen, keeps the status of
 * messages, hands the rest on. What is answered with 200 has been handed on.
 */
export class WebhookReceiver {
  private readonly options: Required<WebhookReceiverOptions>;
  /** What is being handled in this process: the same body again waits for it. */
  private readonly running = new Map<string, Promise<WebhookAnswer>>();
  private readonly counters: WebhookCounts = {
    received: 0,
    messages: 0,
    receipts: 0,
    events: 0,
    duplicates: 0,
    forged: 0,
    unreadable: 0,
    notNow: 0,
  };

  constructor(options: WebhookReceiverOptions) {
    this.options = { answerWithinMs: 8_000, clock: systemClock, logger: silentLogger, ...options };
  }

  /** What was done so far. */
  counts(): WebhookCounts {
    return { ...this.counters };
  }

  /** Whether this receiver knows the secret that a body was signed with. */
  knows(raw: Buffer, signature: string | undefined): boolean {
    const body = parseJson(raw.toString('utf8'));
    return isSigned(raw, signature, this.secretsFor(body), body);
  }

  /** Takes a body. Never rejects. */
  async receive(raw: Buffer, signature: string | undefined): Promise<WebhookAnswer> {
    this.counters.received += 1;
    const body = parseJson(raw.toString('utf8'));
    if (!isSigned(raw, signature, this.secretsFor(body), body)) {
      this.counters.forged += 1;
      return { status: 401, outcome: 'forged' };
    }
    if (!body) {
      this.counters.unreadable += 1;
      return { status: 400, outcome: 'unreadable' };
    }
    const incoming = readIncoming(body);
    const key = incomingKey(incoming);
    const running = this.running.get(key);
    if (running !== undefined) {
      const answer = await running;
      return answer.status === 200 ? this.duplicate() : this.notNow();
    }
    const handling = this.handle(incoming, `webhook/${key}`).finally(() => this.running.delete(key));
    this.running.set(key, handling);
    return handling;
  }

  private secretsFor(body: Record<string, unknown> | undefined): string[] {
    const integrationId = body && readIncoming(body).integrationId;
    const organization = integrationId === undefined ? undefined : this.options.organizationOf(integrationId);
    return [this.options.secret, organization?.webhookSecret].filter((secret) => secret !== undefined);
  }

  private async handle(incoming: Incoming, key: string): Promise<WebhookAnswer> {
    const { clock, answerWithinMs, logger } = this.options;
    const claim = await this.claim(key);
    if (claim === 'done') return this.duplicate();
    if (claim === 'busy') return this.notNow();
    const patience = new AbortController();
    const late = delay(answerWithinMs, { clock, signal: patience.signal }).then(() => 'late' as const);
    const done = this.handOn(incoming).then(
      () => 'done' as const,
      (thrown: unknown) => toContactError(thrown, 'hand on what Genesys has posted'),
    );
    const result = await Promise.race([done, late]);
    patience.abort();
    if (result === 'done') {
      await this.remember(key);
      this.count(incoming);
      return { status: 200, outcome: 'taken' };
    }
    if (result === 'late') {
      // It may be done later than Genesys waits: then it is recognized when it is posted again.
      void done.then((later) => (later === 'done' ? this.remember(key) : this.forget(key)));
    } else {
      if (result.code !== 'CLOSED') logger.warn(result.message, { code: result.code });
      await this.forget(key);
    }
    return this.notNow();
  }

  private duplicate(): WebhookAnswer {
    this.counters.duplicates += 1;
    return { status: 200, outcome: 'duplicate' };
  }

  private notNow(): WebhookAnswer {
    this.counters.notNow += 1;
    return { status: 503, outcome: 'not-now' };
  }

  private count({ kind }: Incoming): void {
    if (kind === 'message') this.counters.messages += 1;
    else if (kind === 'receipt') this.counters.receipts += 1;
    else this.counters.events += 1;
  }

  private async handOn(incoming: Incoming): Promise<void> {
    const { emit, organizationOf } = this.options;
    const organization = incoming.integrationId === undefined ? undefined : organizationOf(incoming.integrationId);
    if (incoming.kind !== 'receipt') return emit({ incoming, organization });
    const receipt = readReceipt(incoming);
    const remembered = await this.untilSent(incoming);
    if (remembered) await this.keep(remembered, receipt);
    return emit({ incoming, organization, receipt, ...(remembered ? { record: remembered.record } : {}) });
  }

  /** The message that a receipt is about: as it stands when it has been sent, if that is soon. */
  private async untilSent(incoming: Incoming): Promise<Remembered | undefined> {
    const { clock } = this.options;
    const began = clock.now();
    for (;;) {
      const found = await this.find(incoming);
      if (found && found.record.status !== 'queued') return found;
      // By its own id it is known before it is sent, by that of Genesys only when the answer has been written down.
      const withinMs = found ? RECEIPT_WAITS_MS : incoming.messageId === undefined ? KNOWN_WITHIN_MS : 0;
      if (clock.now() - began >= withinMs) return found;
      await delay(LOOK_AGAIN_MS, { clock });
    }
  }

  private async find({ id, messageId, integrationId }: Incoming): Promise<Remembered | undefined> {
    const { records, organizationOf } = this.options;
    const byId = id === undefined ? undefined : await records.findByGenesysId(id);
    if (byId || messageId === undefined) return byId;
    const tenantId = integrationId === undefined ? undefined : organizationOf(integrationId)?.tenantId;
    return records.find(messageId, tenantId || undefined);
  }

  private async keep(remembered: Remembered, { status, reasons }: Receipt): Promise<void> {
    if (status === undefined || remembered.record.status === status) return;
    const [reason] = reasons;
    const error =
      status === 'failed'
        ? new ContactError('REJECTED', {
            attempted: 'deliver a message',
            answer: reason ? `${reason.code}: ${reason.message}` : 'the receipt names no reason',
          })
        : undefined;
    await this.options.tracker.change(remembered, [status], error);
  }

  /** Of all processes that get the same body, one handles it. */
  private async claim(key: string): Promise<'mine' | 'done' | 'busy'> {
    const { store, logger } = this.options;
    try {
      if (await store.add(key, 'busy', { expiresInMs: CLAIM_MS })) return 'mine';
      return (await store.get(key)) === 'done' ? 'done' : 'busy';
    } catch (thrown) {
      // Twice is better than never.
      logger.warn(`What Genesys has posted could not be compared with what was seen before: ${describe(thrown)}`);
      return 'mine';
    }
  }

  private async remember(key: string): Promise<void> {
    await this.options.store.set(key, 'done', { expiresInMs: REMEMBERED_MS }).catch((thrown: unknown) => {
      this.options.logger.warn(`What Genesys has posted could not be remembered: ${describe(thrown)}`);
    });
  }

  private async forget(key: string): Promise<void> {
    await this.options.store.delete(key).catch(() => {});
  }
}
