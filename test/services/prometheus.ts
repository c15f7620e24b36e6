import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { ROOT } from './node-red';

/** One series of the answer to a query. */
export interface Series {
  metric: Record<string, string>;
  value: [at: number, value: string];
}

/** A rule as Prometheus sees it. */
export interface Rule {
  name: string;
  /** `ok` once it was evaluated without an error. */
  health: string;
  lastError?: string;
  /** Of an alert: `inactive`, `pending` or `firing`. */
  state: string;
}

/** A Prometheus of its own, with what `deploy/prometheus` gives to one. */
export interface Prometheus {
  /** What it scrapes: `up`, `down` or `unknown`, and why. */
  targets(): Promise<{ health: string; lastError: string; scrapeUrl: string }[]>;
  rules(): Promise<Rule[]>;
  /** The answer to a query at this moment. Rejects when Prometheus refuses it. */
  query(expression: string): Promise<Series[]>;
  close(): Promise<void>;
}

/** What takes minutes in operation must take seconds here. */
const EVERY = '500ms';
const ALERT_AFTER = 'for: 1s';

/**
 * Starts Prometheus with the configuration and the rules of `deploy/prometheus`, which are used as they are but for their
 * times and the addresses of what is scraped: `targets`, as `host:port`.
 */
export async function startPrometheus(promtool: string, targets: readonly string[]): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const port = await freePort();
  layOut(folder, targets);
  const child = spawn(
    join(dirname(promtool), 'prometheus'),
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  children.add(child);
  const ended = once(child, 'exit').then(() => children.delete(child));
  const ask = async <Data>(path: string): Promise<Data> => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    const { status, data, error } = (await answer.json()) as { status: string; data: Data; error?: string };
    if (status !== 'success') throw new Error(`Prometheus refuses ${decodeURIComponent(path)}: ${error}`);
    return data;
  };
  return {
    targets: async () => (await ask<{ activeTargets: [] }>('targets')).activeTargets,
    rules: async () => (await ask<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules),
    query: async (expression) =>
      (await ask<{ result: Series[] }>(`query?query=${encodeURIComponent(expression)}`)).result,
    close: async () => {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

interface Configuration {
  global: Record<string, string>;
  scrape_configs: Record<string, unknown>[];
}

function layOut(folder: string, targets: readonly string[]): void {
  const source = join(ROOT, 'deploy/prometheus');
  mkdirSync(join(folder, 'data'));
  for (const file of readdirSync(source)) {
    const text = readFileSync(join(source, file), 'utf8');
    writeFileSync(join(folder, file), file.endsWith('.rules.yml') ? text.replace(/\bfor: \w+/g, ALERT_AFTER) : text);
  }
  const configuration = parse(readFileSync(join(source, 'prometheus.yml'), 'utf8')) as Configuration;
  configuration.global = { scrape_interval: EVERY, evaluation_interval: EVERY };
  for (const scraped of configuration.scrape_configs) {
    delete scraped['dns_sd_configs'];
    scraped['static_configs'] = [{ targets }];
  }
  writeFileSync(join(folder, 'prometheus.yml'), stringify(configuration));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
