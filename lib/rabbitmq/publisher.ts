import { sharedAbort } from '../core/abort';
import { ContactError } from '../core/errors';
import type { Verdict } from '../core/verdicts';
import type { AmqpChannel } from './amqp';
import { type Confirmation, ConfirmWindow } from './confirm-window';
import type { BrokerConnection } from './connection';
import { type PublishRequest, publishOptions } from './publish-request';
import type { ChannelUser, Seat } from './seat';
import type { Topology } from './topology';

/** Settings of a {@link Publisher}. */
export interface PublisherOptions {
  /** What is declared before anything is published. */
  topology: Topology;
  /** Says in errors what the publisher is for: `publish to ocelot.events`. */
  purpose: string;
  /** Called when it can publish (without an error), and when it no longer can. */
  onState?(error: ContactError | undefined): void;
}

/**
 * Publishes with confirmations, on a channel of its own that comes back by itself. A message that was not confirmed
 * when the channel was lost is published again, before everything that came later: a consumer may then see it twice,
 * with the same message id.
 */
export class Publisher implements ChannelUser {
  readonly topology: Topology;
  readonly purpose: string;
  private readonly seat: Seat;
  private readonly stopping = sharedAbort();
  private window: ConfirmWindow | undefined;
  /** Who waits for a channel, by the number of their batch. */
  private readonly waiting = new Map<number, () => void>();
  private lastBatch = 0;
  private problem: ContactError | undefined;
  /** Messages that were published once more because their confirmation was lost. */
  republished = 0;

  constructor(
    connection: BrokerConnection,
    private readonly options: PublisherOptions,
  ) {
    this.topology = options.topology;
    this.purpose = options.purpose;
    this.seat = connection.take(this);
  }

  /** Whether it can publish at this moment. */
  get isOpen(): boolean {
    return this.window !== undefined;
  }

  /** Why it cannot publish, when the connection is there. */
  get failure(): ContactError | undefined {
    return this.problem;
  }

  /** Messages that wait for their confirmation. */
  get unconfirmed(): number {
    return this.window?.unconfirmed ?? 0;
  }

  /**
   * Publishes in order and resolves with what became of each, when all are settled. While there is no channel it waits
   * for one. When `signal` is aborted or the publisher is closed, those that are open come back as `unknown`.
   */
  async send(requests: readonly PublishRequest[], signal: AbortSignal): Promise<Verdict[]> {
    this.lastBatch += 1;
    const batch = this.lastBatch;
    const verdicts = new Array<Verdict | undefined>(requests.length);
    let open = requests.map((_, index) => index);
    for (let round = 0; open.length > 0 && !signal.aborted && !this.stopping.signal.aborted; round += 1) {
      const window = this.window ?? (await this.nextWindow(batch, signal));
      if (!window) break;
      if (round > 0) this.republished += open.length;
      open = await this.publishAll(window, requests, open, verdicts, signal);
    }
    return Array.from(verdicts, (verdict) => verdict ?? notConfirmed(this.purpose));
  }

  /** Gives the channel back. What is not confirmed by then is told as `unknown`. */
  async close(): Promise<void> {
    this.stopping.abort();
    this.window = undefined;
    await this.seat.close();
  }

  onOpen(channel: AmqpChannel): void {
    this.window = new ConfirmWindow(channel);
    this.problem = undefined;
    // The oldest batch first; each publishes as soon as it is told, before anybody else can.
    for (const [batch, go] of [...this.waiting].sort(([left], [right]) => left - right)) {
      this.waiting.delete(batch);
      go();
    }
    this.options.onState?.(undefined);
  }

  onLost(error: ContactError): void {
    this.window = undefined;
    this.options.onState?.(error);
  }

  onFailed(error: ContactError): void {
    this.problem = error;
    this.options.onState?.(error);
  }

  private nextWindow(batch: number, signal: AbortSignal): Promise<ConfirmWindow | undefined> {
    return new Promise((resolve) => {
      const go = () => {
        forget();
        this.waiting.delete(batch);
        resolve(this.window);
      };
      this.waiting.set(batch, go);
      const forget = this.onEnd(signal, go);
    });
  }

  /** Calls `ended` when the caller gives up or the publisher is closed; gives back the function that ends this. */
  private onEnd(signal: AbortSignal, ended: () => void): () => void {
    const signals = [signal, this.stopping.signal];
    for (const each of signals) each.addEventListener('abort', ended, { once: true });
    return () => {
      for (const each of signals) each.removeEventListener('abort', ended);
    };
  }

  /** Resolves with the places of those whose channel was lost. */
  private publishAll(
    window: ConfirmWindow,
    requests: readonly PublishRequest[],
    places: readonly number[],
    verdicts: (Verdict | undefined)[],
    signal: AbortSignal,
  ): Promise<number[]> {
    return new Promise((resolve) => {
      const lost: number[] = [];
      let open = places.length;
      const finish = () => {
        forget();
        resolve(lost);
      };
      // A broker that has stopped confirms nothing: whoever ends us does not wait for it.
      const forget = this.onEnd(signal, finish);
      const publish = (place: number) => {
        const request = requests[place]!;
        const { exchange, routingKey, content } = request;
        const done = (confirmation: Confirmation) => {
          if (confirmation === 'lost') lost.push(place);
          else verdicts[place] = confirmation;
          open -= 1;
          if (open === 0) finish();
        };
        window.publish(exchange, routingKey, Buffer.from(content), publishOptions(request), done);
      };
      window.together(() => {
        for (const place of places) publish(place);
      });
    });
  }
}

function notConfirmed(attempted: string): Verdict {
  const error = new ContactError('OUTCOME_UNKNOWN', { attempted, answer: 'the broker had not confirmed it yet' });
  return { kind: 'unknown', error };
}
