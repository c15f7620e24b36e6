import type { SimulatorAuth } from './auth';
import type { WriteBlock } from './elastic-index';
import type { BulkFault } from './faults';
import type { ControlReply, ElasticsearchSimulator } from './simulator';

type Json = Record<string, unknown>;
type Verb = (simulator: ElasticsearchSimulator, body: Json) => unknown;

const LONGEST_DOWN_MS = 600_000;

/** What `POST /__control/<verb>` does; the names are those of the simulator's own methods. */
const VERBS: Record<string, Verb> = {
  /** Body: a fault. */
  fault: (simulator, body) => {
    simulator.faults.bulk(body as BulkFault);
    return { pending: simulator.faults.pending };
  },
  clearFaults: (simulator) => simulator.faults.clear(),
  /** Forgets all documents, and starts the counters anew. */
  clear: (simulator) => {
    simulator.clear();
    simulator.requests.reset();
  },
  /** `{index?}` */
  count: (simulator, { index }) => ({ count: simulator.count(text(index)) }),
  indices: (simulator) => simulator.indices(),
  /** `{ms}`: refuses connections that long, answers before it does. */
  down: (simulator, { ms }) => {
    const downMs = Math.min(Number(ms ?? 1_000), LONGEST_DOWN_MS);
    setImmediate(() => void simulator.down().then(() => setTimeout(() => void simulator.up(), downMs)));
    return { downMs };
  },
  pause: (simulator) => simulator.pause(),
  /** `{held?: 'process' | 'drop'}` */
  resume: (simulator, { held }) => simulator.resume(held === 'drop' ? 'drop' : 'process'),
  /** `{ms}` */
  setLatency: (simulator, { ms }) => simulator.setLatency(Number(ms)),
  /** `{index, block?}` */
  setReadOnly: (simulator, { index, block }) =>
    simulator.setReadOnly(String(index), (block as WriteBlock | boolean | undefined) ?? true),
  /** `{pattern?}` */
  setForbidden: (simulator, { pattern }) => simulator.setForbidden(text(pattern)),
  /** `{allowed}` */
  setAutoCreate: (simulator, { allowed }) => simulator.setAutoCreate(allowed !== false),
  /** The right credentials; `{}` lets everyone in. */
  setAuth: (simulator, body) => {
    simulator.auth = body as SimulatorAuth;
  },
  requests: ({ requests }) => {
    const { total, bulk, items, bytes, byStatus, bulkInFlight, bulkInFlightPeak, log } = requests;
    return { total, bulk, items, bytes, byStatus, bulkInFlight, bulkInFlightPeak, log };
  },
};

/** The verbs that answer with one line of text per document, for large dumps. `{index?}` */
const DUMPS: Record<string, (simulator: ElasticsearchSimulator, index: string | undefined) => Iterable<string>> = {
  ids: (simulator, index) => simulator.documents(index ?? '*').keys(),
  /** `id<TAB>created<TAB>updated` */
  applied: function* (simulator, index) {
    for (const [id, { created, updated }] of simulator.applied(index)) yield `${id}\t${created}\t${updated}`;
  },
};

/** Carries out one control request. */
export async function control(simulator: ElasticsearchSimulator, verb: string, body: Json): Promise<ControlReply> {
  const dump = DUMPS[verb];
  if (dump) {
    const lines = [...dump(simulator, text(body['index']))].map((line) => `${line}\n`);
    return { status: 200, body: lines.join(''), contentType: 'text/plain; charset=utf-8' };
  }
  const action = VERBS[verb];
  const known = [...Object.keys(VERBS), ...Object.keys(DUMPS)].join(', ');
  if (!action) return answer(404, { error: `no verb ${verb}; there are ${known}` });
  return answer(200, action(simulator, body) ?? { ok: true });
}

function answer(status: number, body: unknown): ControlReply {
  return { status, body: `${JSON.stringify(body)}\n`, contentType: 'application/json' };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
