import assert from 'node:assert/strict';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { Tokens } from '../../lib/calls/tokens';
import { type GeneratorRun, numberOf } from '../simulators/genesys';
import { textMessage } from '../unit/genesys/messaging/sender-harness';
import { type Installation, ORGANIZATIONS } from './installation';
import type { NodeRed } from './node-red';

const INDEX = 'genesys-audiohook';
const HOUR_MS = 3_600_000;
const REQUEST_WITHIN_MS = 5_000;
const FINAL = new Set(['completed', 'busy', 'no_answer', 'failed']);

/** What happens in a second. */
export interface Rates {
  /** AudioHook events of Genesys. */
  audiohook: number;
  /** Chats of Cody. */
  chats: number;
  /** Ocelot events over HTTP. */
  ocelot: number;
  /** Calls over HTTP. */
  calls: number;
  /** Messages to Genesys, in turn to all organizations. */
  messages: number;
}

/** What has been handed over so far: to lose any of it is a defect. */
export interface Handed {
  audiohook: number;
  chats: number;
  ocelot: number;
  calls: number;
  messages: number;
}

interface CallRow {
  call_id: string;
  phone_number: string;
  status: string;
}

/**
 * Makes work for all five services, and says what has become of it. Only what was accepted counts: an HTTP request that
 * was answered with 200, a message that RabbitMQ has confirmed.
 */
export class Load {
  private readonly chats: string[] = [];
  private readonly ocelot = new Set<string>();
  /** Numbers that were called, and whether the API has accepted that. */
  private readonly calls = new Map<string, boolean>();
  private readonly messages = new Set<string>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly underWay = new Set<Promise<void>>();
  private events: GeneratorRun | undefined;
  private broker: { connection: ChannelModel; channel: ConfirmChannel } | undefined;
  private numbers = 0;
  private isAbandoned = false;
  private token = '';

  constructor(
    private readonly installation: Installation,
    /** Where requests may go to at this moment. */
    private readonly targets: () => readonly NodeRed[],
  ) {}

  async start(rates: Rates): Promise<void> {
    const { genesys, cody, rabbitmq } = this.installation;
    this.token = (
      await new Tokens({ secret: this.installation.secrets.SECRET_KEY, lifetimeMs: 36_000_000 }).issue('load')
    ).accessToken;
    const connection = await connect(rabbitmq.url);
    connection.on('error', () => {});
    this.broker = { connection, channel: await connection.createConfirmChannel() };
    if (rates.audiohook > 0) {
      const count = 1_000_000_000;
      this.events = genesys.generate({ count, ratePerSecond: rates.audiohook, code: 'AUDIOHOOK-0001' });
    }
    this.every(rates.chats, () => void this.chats.push(cody.chat({ createdAt: Date.now() - HOUR_MS })));
    this.every(rates.ocelot, () => this.track(this.endCall()));
    this.every(rates.calls, () => this.track(this.makeCall()));
    this.every(rates.messages, () => this.track(this.publish()));
  }

  /** Ends the work, and waits for what is under way. */
  async stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.events?.stop();
    await this.events?.done;
    while (this.underWay.size > 0) await Promise.all(this.underWay);
    await this.broker?.connection.close().catch(() => {});
  }

  /** Ends the work at once, for a test that has failed. */
  async abandon(): Promise<void> {
    this.isAbandoned = true;
    for (const timer of this.timers) clearInterval(timer);
    this.events?.stop();
    await this.broker?.connection.close().catch(() => {});
  }

  get handed(): Handed {
    return {
      audiohook: this.events?.sent ?? 0,
      chats: this.chats.length,
      ocelot: this.ocelot.size,
      calls: [...this.calls.values()].filter(Boolean).length,
      messages: this.messages.size,
    };
  }

  /** How much has arrived where it belongs, each once however often it did. */
  async arrived(): Promise<Handed> {
    const { elasticsearch, zoho, genesys } = this.installation;
    const audited = new Set(this.installation.auditedCalls());
    const sent = new Set(genesys.messaging.messages.map(({ messageId }) => messageId));
    const over = new Set(
      (await this.allCalls()).filter(({ status }) => FINAL.has(status)).map(({ phone_number }) => phone_number),
    );
    const count = (ids: Iterable<string>, isThere: (id: string) => boolean) => [...ids].filter(isThere).length;
    return {
      audiohook: elasticsearch.count(INDEX),
      chats: count(this.chats, (id) => zoho.casesOf(id).length > 0),
      ocelot: count(this.ocelot, (id) => audited.has(id)),
      calls: count(
        [...this.calls].filter(([, accepted]) => accepted).map(([number]) => number),
        (number) => over.has(number),
      ),
      messages: count(this.messages, (id) => sent.has(id)),
    };
  }

  /** Waits until all that was handed over has arrived. */
  async untilArrived(withinMs: number): Promise<void> {
    const end = Date.now() + withinMs;
    for (;;) {
      const [handed, arrived] = [this.handed, await this.arrived()];
      const isMissing = (Object.keys(handed) as (keyof Handed)[]).some((name) => arrived[name] < handed[name]);
      if (!isMissing) return;
      if (Date.now() > end) {
        const queued = JSON.stringify(await this.installation.queued());
        throw new Error(`${JSON.stringify(arrived)} of ${JSON.stringify(handed)} arrived; in queues: ${queued}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /**
   * Nothing was done twice: a document, a Case and a call for each; a message under one time, which is one for Genesys.
   * The answer tells how many lines the audit log has twice: a line may be written again when its process was killed.
   */
  async checkOnce(): Promise<{ auditedTwice: number }> {
    const { elasticsearch, zoho, genesys, asterisk } = this.installation;
    const numbers = new Map<number, number>();
    for (const { _source, created } of elasticsearch.documents(INDEX).values()) {
      const { op } = _source as unknown as { op: { conversationId: string } };
      const number = numberOf(op.conversationId)!;
      numbers.set(number, (numbers.get(number) ?? 0) + created);
    }
    assert.equal(numbers.size, this.handed.audiohook, 'documents');
    assert.deepEqual(many([...numbers].flatMap(([number, times]) => Array<number>(times).fill(number))), [], 'events');
    assert.deepEqual(
      this.chats.filter((id) => zoho.casesOf(id).length !== 1),
      [],
      'chats without exactly one Case',
    );
    assert.deepEqual(many(asterisk.dialed), [], 'numbers that rang twice');
    assert.deepEqual(asterisk.violations, []);
    const times = genesys.messaging.messages.map(({ messageId, time }) => `${messageId} ${time}`);
    assert.deepEqual(many([...new Set(times)].map((pair) => pair.split(' ')[0])), [], 'messages with two times');
    const open = (await this.allCalls()).filter(({ status }) => !FINAL.has(status));
    assert.deepEqual(open, [], 'calls that are open');
    return { auditedTwice: many(this.installation.auditedCalls()).length };
  }

  private every(perSecond: number, action: () => void): void {
    if (perSecond > 0) this.timers.push(setInterval(action, 1_000 / perSecond));
  }

  private track(work: Promise<void>): void {
    // What fails was not accepted, and nobody relies on it.
    const settled: Promise<void> = work.catch(() => {}).finally(() => this.underWay.delete(settled));
    this.underWay.add(settled);
  }

  private next(): number {
    this.numbers += 1;
    return this.numbers;
  }

  private async endCall(): Promise<void> {
    const id = `call-${this.next()}`;
    const answer = await this.post(`/ocelot/calls/${id}/end`, {
      duration: 180,
      outcome: 'completed',
      organizationId: 'org-1',
    });
    if (answer?.status === 200) this.ocelot.add(id);
  }

  /** Asks again, at another process, until it knows: the same key makes that safe. */
  private async makeCall(): Promise<void> {
    const number = `+1555${String(1_000_000 + this.next())}`;
    this.calls.set(number, false);
    for (let attempt = 0; attempt < 20 && !this.isAbandoned; attempt += 1) {
      const answer = await this.post(
        `/api/v1/interaction/${number}`,
        { timeout: 8_000 },
        { Authorization: `Bearer ${this.token}`, 'Idempotency-Key': number },
      );
      if (answer?.status === 200) {
        this.calls.set(number, true);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }

  private async publish(): Promise<void> {
    const number = this.next();
    const messageId = `m${number}`;
    const body = Buffer.from(JSON.stringify(textMessage(messageId, (number % ORGANIZATIONS.length) + 1)));
    const options = { persistent: true, contentType: 'application/json', messageId };
    await new Promise<void>((resolve, reject) => {
      this.broker?.channel.sendToQueue('genesys.outbound', body, options, (error) =>
        error ? reject(error) : resolve(),
      );
    });
    this.messages.add(messageId);
  }

  private async post(
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<{ status: number } | undefined> {
    const targets = this.targets();
    const target = targets[this.next() % targets.length];
    try {
      const answer = await target?.request(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(REQUEST_WITHIN_MS),
      });
      await answer?.arrayBuffer();
      return answer;
    } catch {
      return undefined;
    }
  }

  /** Every call that the database knows. */
  private async allCalls(): Promise<CallRow[]> {
    const target = this.targets()[0];
    const rows: CallRow[] = [];
    for (let page = 1, pages = 1; target && page <= pages; page += 1) {
      const answer = await target.request(`/api/v1/calls?page_size=200&page=${page}`, {
        headers: { Authorization: `Bearer ${this.token}` },
      });
      const body = (await answer.json()) as { pages: number; calls: CallRow[] };
      pages = body.pages;
      rows.push(...body.calls);
    }
    return rows;
  }
}

/** What is there more than once. */
function many<Item>(items: readonly Item[]): Item[] {
  const seen = new Set<Item>();
  const twice = new Set<Item>();
  for (const item of items) {
    if (seen.has(item)) twice.add(item);
    seen.add(item);
  }
  return [...twice];
}
