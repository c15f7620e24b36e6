import { type BackoffOptions, backoffDelayMs } from '../core/backoff';
import { type Clock, delay } from '../core/clock';
import { type ContactError, toContactError } from '../core/errors';
import type { Logger } from '../core/log';
import { WatchedFile } from '../core/watched-file';
import type { GenesysClient } from './client';
import {
  type EventDefinition,
  fetchOffer,
  operationsTopic,
  planTopics,
  type TopicOffer,
  type TopicPlan,
  type TopicWish,
} from './topics';
import { parseTopicsFile } from './topics-file';

/** Settings of a {@link TopicPlanner}. */
export interface TopicPlannerOptions {
  client: GenesysClient;
  wish: Omit<TopicWish, 'file'>;
  /** A file with topics, absolute; it is read again when it changes. */
  file: string | undefined;
  /** Takes each plan that differs from the one before. */
  onPlan(plan: TopicPlan): void;
  /** Something has changed that a status may show. */
  onChange(): void;
  /** How often to look for new topics and event definitions; default an hour. */
  refreshMs?: number;
  /** Between attempts while the offer cannot be had; default 1 s to 90 s. */
  backoff?: BackoffOptions;
  clock: Clock;
  logger: Logger;
}

/** Keeps deciding which topics to take, from what the organization offers, the topics file and the list. */
export class TopicPlanner {
  private readonly options: Required<TopicPlannerOptions>;
  private readonly stopping = new AbortController();
  private readonly file: WatchedFile<string[]> | undefined;
  private offer: TopicOffer | undefined;
  private definitions = new Map<string, EventDefinition>();
  private planNow: TopicPlan | undefined;
  private errorNow: ContactError | undefined;

  constructor(options: TopicPlannerOptions) {
    this.options = { refreshMs: 3_600_000, backoff: { baseMs: 1_000, maxMs: 90_000 }, ...options };
    const { file: path, clock, logger, onChange } = options;
    if (path === undefined) return;
    this.file = new WatchedFile({
      path,
      parse: parseTopicsFile,
      onChange: () => this.decide(),
      onProblem: (problem) => {
        if (problem !== undefined) logger.warn(problem);
        onChange();
      },
      clock,
    });
  }

  /** Begins. Resolves when the file has been read; the rest goes on in the background. */
  async start(): Promise<void> {
    await this.file?.open();
    this.work().catch((thrown: unknown) => {
      this.options.logger.error(toContactError(thrown, 'choose the topics').message);
    });
  }

  /** The plan, once there is one. */
  get plan(): TopicPlan | undefined {
    return this.planNow;
  }

  /** Why the offer cannot be had. */
  get error(): ContactError | undefined {
    return this.errorNow;
  }

  /** Sentences about what stands in the way, apart from {@link error}. */
  get problems(): string[] {
    const unusable = this.planNow?.unusable.map(({ id, reason }) => `The topic ${id} cannot be used: ${reason}.`);
    const file = this.file?.problem;
    return [...(file === undefined ? [] : [file]), ...(this.offer?.problems ?? []), ...(unusable ?? [])];
  }

  /** What the organization says about the kind of event on a topic. */
  definitionOf(topic: string): EventDefinition | undefined {
    return this.definitions.get(topic);
  }

  /** Ends everything. */
  close(): void {
    this.stopping.abort();
    this.file?.close();
  }

  private async work(): Promise<void> {
    const { clock, refreshMs, backoff, client } = this.options;
    const { signal } = this.stopping;
    for (let failures = 0; !signal.aborted; ) {
      try {
        this.learn(await fetchOffer(client, signal));
        failures = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        failures += 1;
        this.fail(toContactError(thrown, 'list the topics'));
      }
      this.decide();
      const waitMs = failures > 0 ? backoffDelayMs(failures, backoff) : refreshMs;
      await delay(Math.max(waitMs, this.errorNow?.retryAfterMs ?? 0), { clock, signal });
    }
  }

  private learn(offer: TopicOffer): void {
    for (const problem of offer.problems) this.options.logger.warn(problem);
    this.offer = offer;
    this.definitions = new Map(offer.definitions.map((each) => [operationsTopic(each.id), each]));
    this.errorNow = undefined;
  }

  private fail(error: ContactError): void {
    this.options.logger.warn(error.message, { code: error.code });
    this.errorNow = error;
  }

  private decide(): void {
    const { wish, onPlan, onChange } = this.options;
    if (this.stopping.signal.aborted) return;
    const plan = planTopics({ ...wish, file: this.file?.value ?? [] }, this.offer);
    // Without an offer a discovery has not been made: its empty plan would close the channels.
    const premature = this.offer === undefined && plan.source === 'list' && wish.discover && wish.fallback.length === 0;
    if (!premature && JSON.stringify(plan) !== JSON.stringify(this.planNow)) {
      this.planNow = plan;
      onPlan(plan);
    }
    onChange();
  }
}
