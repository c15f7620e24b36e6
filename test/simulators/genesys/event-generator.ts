import { type EventDefinition, type OperationalEvent, socketForm } from './event-forms';
import type { EventSource } from './event-store';

/** Events that one call serialises and writes at once. */
const batchSize = 500;

/** A stream of numbered events. */
export interface GenerateOptions {
  /** How many. */
  count: number;
  /** Pace; as fast as the sockets take them when left out. */
  ratePerSecond?: number;
  /** Code of all of them; default `AUDIOHOOK-0001`. */
  code?: string;
  /** Number of the first; default 0. */
  startNumber?: number;
  /** Stored for the REST query; default true. */
  rest?: boolean;
  /** Sent on the sockets; default true. */
  socket?: boolean;
}

/** A stream under way. */
export interface GeneratorRun {
  readonly count: number;
  /** Events that have happened so far. */
  readonly sent: number;
  /** Epoch ms. */
  readonly startedAt: number;
  /** Epoch ms; undefined while it runs. */
  readonly finishedAt: number | undefined;
  /** Resolves when all events have happened and the sockets are not far behind, or after `stop()`. */
  readonly done: Promise<void>;
  stop(): void;
}

/** The unique conversation id of a generated event. */
export function conversationIdOf(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

/** The number of a generated event, from its conversation id; undefined for other conversations. */
export function numberOf(conversationId: string): number | undefined {
  const digits = /^00000000-0000-4000-8000-([0-9a-f]{12})$/.exec(conversationId)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

/** Numbered events of one code: only number and time differ, so the frame is a text with three holes. */
export class NumberedEvents implements EventSource {
  private readonly parts: readonly string[];

  constructor(
    private readonly code: string,
    definition: EventDefinition,
    private readonly socketTimestamps: boolean,
  ) {
    const hole = 7_777_777_777_777;
    const timestamp = socketTimestamps ? hole : null;
    const text = socketForm({ ...this.event(hole), timestamp }, definition, hole);
    const correlationId = /"CorrelationId":"([^"]*)"/.exec(text)?.[1] ?? '';
    this.parts = text
      .replace(correlationId, conversationIdOf(hole))
      .split(new RegExp(`(${hole}|${conversationIdOf(hole)})`));
  }

  /** The event without its times. */
  event(number: number): OperationalEvent {
    return {
      code: this.code,
      entityId: '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6',
      entityName: 'AudioHook Monitor EU',
      entityType: 'integration',
      parentEntityId: 'b1f0c2de-5a55-4c0e-9d51-3f3d1c7f2a10',
      conversationId: conversationIdOf(number),
      previousValue: 'CONNECTED',
      currentValue: 'DISCONNECTED',
      errorCode: 'connection.timeout',
      version: '1.0',
      ...(this.socketTimestamps ? {} : { timestamp: null }),
    };
  }

  /** The frame of one event. */
  text(number: number, createdAt: number): string {
    const [start, ...rest] = this.parts;
    let text = start as string;
    for (let index = 0; index < rest.length; index += 2) {
      text += (rest[index] as string).length === 36 ? conversationIdOf(number) : createdAt;
      text += rest[index + 1];
    }
    return text;
  }
}

/** Call `emit` with consecutive numbers at the pace asked for, batch by batch. */
export function run(
  { count, ratePerSecond = Number.POSITIVE_INFINITY, startNumber = 0 }: GenerateOptions,
  emit: (first: number, size: number) => Promise<void>,
  pause: (delayMs: number) => Promise<void>,
): GeneratorRun {
  let stopped = false;
  const state = { count, sent: 0, startedAt: Date.now(), finishedAt: undefined as number | undefined };
  const work = async () => {
    const begin = performance.now();
    while (state.sent < count && !stopped) {
      const due = Math.min(count, Math.floor(((performance.now() - begin) / 1000) * ratePerSecond) || 0);
      const size = Math.min(batchSize, (ratePerSecond === Number.POSITIVE_INFINITY ? count : due) - state.sent);
      if (size > 0) {
        await emit(startNumber + state.sent, size);
        state.sent += size;
        await new Promise(setImmediate);
      } else {
        await pause(2);
      }
    }
    state.finishedAt = Date.now();
  };
  const done = work();
  return Object.assign(state, {
    done,
    stop: () => {
      stopped = true;
    },
  });
}
