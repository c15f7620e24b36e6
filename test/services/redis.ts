import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { findProgram } from './programs';

/** A Redis of a test's own: on a free port, with its own folder, so that it can be killed without hurting anyone. */
export interface RedisServer {
  /** `redis://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** Ends it as a power cut does. What was not on disk yet is lost; with `appendOnly` nothing is. */
  kill(): Promise<void>;
  /** Starts it again on the same port, with what its folder holds. */
  restart(): Promise<void>;
  /** Lets it hang: connections stay open, nothing is answered. */
  freeze(): void;
  /** Lets it go on after {@link RedisServer.freeze}. */
  thaw(): void;
  /** A connection for the test itself; closed with the server. */
  client(): Redis;
  /** Ends it and removes its folder. */
  close(): Promise<void>;
}

export interface RedisServerOptions {
  /** Path of `redis-server`, as the requirement `redis` gives it. */
  program: string;
  /** Every write is on disk before it is answered; off when left out: then a kill loses everything. */
  appendOnly?: boolean;
  password?: string;
}

const servers = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of servers) child.kill('SIGKILL');
});

/** The path of `redis-server`: that of REDIS_SERVER, or the first one in the path. */
export function findRedis(): string | undefined {
  return findProgram('redis-server', 'REDIS_SERVER');
}

/** Starts a Redis and waits until it answers. */
export async function startRedis({ program, appendOnly = false, password }: RedisServerOptions): Promise<RedisServer> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'redis-'));
  const clients: Redis[] = [];
  let child: ChildProcess | undefined;
  let exited: Promise<unknown> = Promise.resolve();
  const connect = () => {
    const client = new Redis(port, '127.0.0.1', { ...(password ? { password } : {}), protocol: 2 });
    client.on('error', () => {});
    clients.push(client);
    return client;
  };
  const start = async () => {
    const options = {
      port,
      bind: '127.0.0.1',
      dir: folder,
      save: '',
      appendonly: appendOnly ? 'yes' : 'no',
      appendfsync: 'always',
      ...(password ? { requirepass: password } : {}),
    };
    const given = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const started = spawn(program, given, { stdio: 'ignore' });
    child = started;
    servers.add(started);
    exited = new Promise((resolve) => started.once('exit', resolve));
    void exited.then(() => servers.delete(started));
    const probe = connect();
    await probe.ping();
    probe.disconnect();
  };
  const kill = async () => {
    child?.kill('SIGCONT');
    child?.kill('SIGKILL');
    await exited;
  };
  await start();
  return {
    url: `redis://${password ? `:${encodeURIComponent(password)}@` : ''}127.0.0.1:${port}`,
    port,
    kill,
    restart: async () => {
      await kill();
      await start();
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    client: connect,
    close: async () => {
      for (const client of clients) client.disconnect();
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
