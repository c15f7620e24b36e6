/**
 * All five example flows in one Node-RED at moderate load, for two hours: whether memory, listeners and open files stay
 * flat, whether the books of every node balance at every look, and whether everything that was sent has arrived once.
 * Every sample is added to .work/bench/soak.jsonl when it is taken; the report is .work/bench/soak.md, of which soak.md
 * beside this file is the latest that was kept.
 *
 *     npm run bench -- soak
 *     npm run bench -- soak --minutes 10
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isBalanced } from '../../lib/core/books';
import type { HealthAnswer } from '../../lib/monitor/health';
import type { StatsAnswer } from '../../lib/monitor/stats';
import { type Asterisk, findAsterisk, startAsterisk } from '../services/asterisk';
import { Installation } from '../services/installation';
import { Load } from '../services/load';
import { type NodeRed, ROOT } from '../services/node-red';
import { findPostgresql } from '../services/postgresql';
import { findRedis } from '../services/redis';
import type { LongRun } from './harness/benchmark';
import { renderSoak, type Sample, type Vitals } from './harness/soak-report';

const RESULTS = join(ROOT, '.work/bench');
/** A second. */
const RATES = { audiohook: 20, chats: 0.2, ocelot: 5, calls: 0.2, messages: 2 };
const SAMPLE_EVERY_MS = 60_000;
/** What a Prometheus does. */
const SCRAPE_EVERY_MS = 15_000;
const ARRIVED_WITHIN_MS = 120_000;

export const longRun: LongRun = {
  minutes: 120,
  run: async (minutes) => {
    const [redisProgram, postgresqlPrograms] = [findRedis(), findPostgresql()];
    if (!redisProgram || !postgresqlPrograms) throw new Error('Redis and PostgreSQL are needed: run test/services/up.');
    const programs = findAsterisk(false);
    const asterisk = programs === undefined ? undefined : await startAsterisk(programs);
    const installation = await Installation.start({ redisProgram, postgresqlPrograms });
    let load: Load | undefined;
    let scraping: NodeJS.Timeout | undefined;
    try {
      const nodeRed = await installation.addProcess({
        nodeOptions: ['--expose-gc'],
        settings: { nodesDir: [join(__dirname, 'nodes')] },
        env: { POLL_INTERVAL_SECONDS: '5', ...(asterisk ? addressOf(asterisk) : {}) },
      });
      load = new Load(installation, () => [nodeRed]);
      scraping = setInterval(() => void scrape(nodeRed), SCRAPE_EVERY_MS);
      await soak({ nodeRed, load, minutes, asterisk });
    } finally {
      clearInterval(scraping);
      await load?.abandon();
      await installation.close();
      await asterisk?.close();
    }
  },
};

interface Soak {
  nodeRed: NodeRed;
  load: Load;
  minutes: number;
  asterisk: Asterisk | undefined;
}

async function soak({ nodeRed, load, minutes, asterisk }: Soak): Promise<void> {
  const file = join(RESULTS, 'soak.jsonl');
  rmSync(file, { force: true });
  mkdirSync(RESULTS, { recursive: true });
  const began = Date.now();
  const samples: Sample[] = [];
  const failures: string[] = [];
  await load.start(RATES);
  for (let number = 0; number <= minutes; number += 1) {
    await delay(Math.max(0, began + number * SAMPLE_EVERY_MS - Date.now()));
    const sample = await look(nodeRed, load, (Date.now() - began) / 60_000).catch(messageOf);
    if (typeof sample === 'string') failures.push(`minute ${number}: ${sample}`);
    else samples.push(sample);
    appendFileSync(file, `${JSON.stringify(sample)}\n`);
  }
  await load.stop();
  // What is wrong belongs into the report, which hours have gone into.
  await check(load, asterisk).catch((thrown: Error) => failures.push(messageOf(thrown)));
  const report = renderSoak({
    startedAt: new Date(began).toISOString(),
    endedAt: new Date().toISOString(),
    machine: `Node ${process.version} on ${cpus().length} cores (${cpus()[0]?.model})`,
    asterisk: asterisk ? 'Asterisk is real, with SIPp as the called party.' : 'Asterisk is a strict simulator.',
    rates: RATES,
    samples,
    handed: { ...load.handed },
    arrived: { ...(await load.arrived()) },
    failures,
    complaints: nodeRed.log().match(/^.*(\[(warn|error)\]|Warning: ).*$/gm) ?? [],
  });
  writeFileSync(join(RESULTS, 'soak.md'), report);
  console.log(report);
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

/** Everything has arrived, once. */
async function check(load: Load, asterisk: Asterisk | undefined): Promise<void> {
  await load.untilArrived(ARRIVED_WITHIN_MS);
  const { auditedTwice } = await load.checkOnce();
  if (auditedTwice > 0) throw new Error(`${auditedTwice} lines of the audit log are there twice.`);
  if (asterisk) checkDialed(asterisk, load.handed.calls);
}

async function look(nodeRed: NodeRed, load: Load, minutes: number): Promise<Sample> {
  const ask = async <Answer>(path: string) => (await (await nodeRed.request(path)).json()) as Answer;
  const { services } = await ask<StatsAnswer>('/stats');
  const nodes = Object.values(services).flatMap((service) => service.nodes);
  const withBooks = nodes.flatMap(({ type, id, books }) => (books ? [{ type, id, books }] : []));
  const { checks } = await ask<HealthAnswer>('/health');
  return {
    minutes,
    ...(await ask<Vitals>('/bench/vitals')),
    books: withBooks.length,
    unbalanced: withBooks
      .filter(({ books }) => !isBalanced(books))
      .map(({ type, id, books }) => `${type} ${id}: ${JSON.stringify(books)}`),
    sick: checks
      .filter(({ status }) => status !== 'healthy')
      .map(({ type, node, status, reason }) => `${type} ${node} is ${status}: ${reason}`),
    handed: { ...load.handed },
    arrived: { ...(await load.arrived()) },
  };
}

async function scrape(nodeRed: NodeRed): Promise<void> {
  const answer = await nodeRed.request('/metrics').catch(() => undefined);
  await answer?.arrayBuffer();
}

function addressOf({ url, user, password, endpoint }: Asterisk): Record<string, string> {
  return { ARI_HTTP_URL: url, ARI_USERNAME: user, ARI_PASSWORD: password, ARI_ENDPOINT: endpoint };
}

/** Asterisk's own record has each accepted call once. */
function checkDialed(asterisk: Asterisk, accepted: number): void {
  const started = asterisk.record().filter(({ event }) => event === 'CHAN_START');
  const channels = new Set(started.map(({ channel }) => channel));
  if (started.length !== accepted || channels.size !== accepted) {
    throw new Error(`Asterisk has made ${started.length} calls, ${channels.size} different ones, of ${accepted}.`);
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
