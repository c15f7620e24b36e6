import { checkCall } from '../../../lib/ari/call-request';
import { AriConnection } from '../../../lib/ari/connection';
import type { CallOrder, CallWay } from '../../../lib/ari/desk';
import type { Call } from '../../../lib/calls/call';
import { CallBook } from '../../../lib/calls/call-book';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { isFinal } from '../../../lib/calls/state-machine';
import type { CallStore } from '../../../lib/calls/store';
import { until } from '../until';

/** A connection to an Asterisk, real or simulated, with a book of its own. */
export interface Harness {
  connection: AriConnection<Call>;
  book: CallBook;
  store: CallStore;
  /** The states that each call went through, in their order. */
  states: Map<string, string[]>;
  /** Calls a number and answers the id of the call. */
  call(number: string, order?: Partial<CallOrder['call']>, way?: Partial<CallWay>): Promise<string>;
  /** Waits until a call is over and gives it. */
  ended(callId: string, limitMs?: number): Promise<Call>;
  /** Waits until Asterisk can be asked for calls. */
  ready(limitMs?: number): Promise<void>;
  /** Ends this process's part, as a stop of Node-RED does; the store stays. */
  close(): Promise<void>;
}

/** Connects to an Asterisk. */
export function connect(
  asterisk: { url: string; user: string; password: string; endpoint: string },
  { app = 'contactcenter', store = new MemoryCallStore() as CallStore, quick = true } = {},
): Harness {
  const book = new CallBook({ store });
  const states = new Map<string, string[]>();
  book.onUpdate(({ call, transitions }) => {
    states.set(call.callId, [...(states.get(call.callId) ?? []), ...transitions.map(({ to }) => to)]);
  });
  const { url, user, password, endpoint } = asterisk;
  const connection = new AriConnection<Call>({
    access: { url, user, password },
    app,
    book,
    mostCalls: 20_000,
    ...(quick ? { pingMs: 400, compareMs: 500, answerWithinMs: 1_000, backoff: { baseMs: 50, maxMs: 200 } } : {}),
  });
  connection.start();
  return {
    connection,
    book,
    store,
    states,
    async call(number, order = {}, way = {}) {
      const rules = {
        allowedPrefixes: ['+'],
        allowedContexts: ['outbound-ivr', 'nowhere'],
        allowedVariables: [],
        context: 'outbound-ivr',
        extension: 's',
        priority: 1,
        timeoutMs: 30_000,
        callerId: 'Tests <+15559990000>',
      };
      const call = { ...checkCall({ phoneNumber: number }, rules), ...order };
      const made = await connection.make({ call, way: { endpoint, answered: 'dialplan', ...way } });
      return made.call.callId;
    },
    async ended(callId, limitMs = 10_000) {
      await until(
        () => isFinal((states.get(callId)?.at(-1) ?? 'pending') as Call['status']),
        `the end of ${callId}`,
        limitMs,
      );
      return (await store.get(callId))!;
    },
    ready: (limitMs = 10_000) => until(() => connection.state.kind === 'ready', 'the connection', limitMs),
    async close() {
      await connection.close();
      await book.close(1_000);
    },
  };
}
