import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokens } from '../../../lib/calls/tokens';
import { until } from '../../nodes/helper';
import { type Asterisk, findAsterisk, startAsterisk } from '../../services/asterisk';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../../services/node-red';
import { findPostgresql, type Postgresql, startPostgresql } from '../../services/postgresql';

const SECRET_KEY = 'only for benchmarks, 32 characters or more';

/** The call API with all that it needs: a real Asterisk, and a PostgreSQL that waits for the disk. */
export interface CallApiBench {
  asterisk: Asterisk;
  database: Postgresql;
  nodeRed: NodeRed;
  /** The header `Authorization` of a caller. */
  authorization: string;
  close(): Promise<void>;
}

/** Starts everything; one of these for each benchmark. `nodeOptions` are for the Node that runs Node-RED. */
export async function startCallApiBench(nodeOptions: readonly string[] = []): Promise<CallApiBench> {
  const programs = findAsterisk(true);
  const databases = findPostgresql();
  if (!programs || !databases) throw new Error('Asterisk and PostgreSQL must be there: run test/services/up.');
  const asterisk = await startAsterisk(programs);
  const database = await startPostgresql(databases, { durable: true });
  const flows = JSON.parse(readFileSync(join(ROOT, 'examples/ari-call-api.json'), 'utf8')) as FlowEntry[];
  const nodeRed = await startNodeRed({
    flows,
    nodeOptions,
    env: {
      ARI_HTTP_URL: asterisk.url,
      ARI_USERNAME: asterisk.user,
      ARI_PASSWORD: asterisk.password,
      ARI_ENDPOINT: asterisk.endpoint,
      DATABASE_URL: database.url,
      SECRET_KEY,
    },
  });
  await until(async () => {
    const { checks } = (await (await nodeRed.request('/calls/health')).json()) as { checks: { status: string }[] };
    return checks.every(({ status }) => status === 'healthy');
  }, 'the call API');
  const { accessToken } = await new Tokens({ secret: SECRET_KEY, lifetimeMs: 24 * 3_600_000 }).issue('bench');
  return {
    asterisk,
    database,
    nodeRed,
    authorization: `Bearer ${accessToken}`,
    close: async () => {
      await nodeRed.stop();
      await asterisk.close();
      await database.close();
    },
  };
}

/** Measures a process from outside, on Linux: its CPU time and its memory. */
export function watchProcess(pid: number): () => { cpuMicroseconds: number; rssBytes: number } {
  const ticks = () => {
    const [, after = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
    const fields = after.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  return () => {
    const memory = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    // The kernel counts in hundredths of a second.
    return { cpuMicroseconds: (ticks() - before) * 10_000, rssBytes: Number(memory?.[1] ?? 0) * 1_024 };
  };
}
