import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../nodes/helper';
import { type RedisServer, startRedis } from '../services/redis';
import { repetitions, requireService } from '../services/requirements';
import { type CodySimulator, defaultApiKey, startCodySimulator } from '../simulators/cody';
import { caseFields, defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';

/** Chats whose Cases are being made when their process is killed: all of them stand at the crash point then. */
const CHATS = 10;
const KILLS = repetitions(1, 50);
const PROGRAM = join(__dirname, 'processes/case-process.js');
const COQL = 'ZohoCRM.coql.READ';
const WITHIN_MS = 40_000;

const POINTS = [
  'before the request',
  'after the request, before the answer',
  'after the answer, before the checkpoint',
] as const;
type CrashPoint = (typeof POINTS)[number];
const REDIS_STATES = ['up', 'down', 'flushed'] as const;
type RedisState = (typeof REDIS_STATES)[number];

/** What differs from one kill of a cell to the next. */
interface Variation {
  /** Whether Cases get a Note as well. */
  note: boolean;
  unique: boolean;
  coql: boolean;
  /** Where exactly it crashes within the crash point. */
  second: boolean;
  /** Whether the process comes back only when the other one has gone on with its work. */
  late: boolean;
  /** Whether Redis comes back in the end where it was down. */
  returns: boolean;
}

describe('a process that is killed while it makes Cases', function () {
  this.timeout(120_000 * KILLS);
  const program = requireService('redis');
  let redis: RedisServer;
  let cody: CodySimulator;
  let zoho: ZohoSimulator;
  let folder: string;
  let processes: Map<string, ChildProcess>;

  before(async () => {
    redis = await startRedis({ program: program.location, appendOnly: true });
  });
  after(() => redis?.close());

  beforeEach(() => {
    processes = new Map();
  });
  afterEach(async () => {
    for (const child of processes.values()) child.kill('SIGKILL');
    await Promise.all([...processes.values()].map(ended));
    await Promise.all([cody?.close(), zoho?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const begin = async ({ unique, coql }: Variation) => {
    folder = mkdtempSync(join(tmpdir(), 'crash-'));
    cody = await startCodySimulator();
    const scopes = coql ? [...defaultZoho.scopes, COQL] : [...defaultZoho.scopes];
    zoho = await startZohoSimulator({ caseFields: caseFields({ unique }), scopes, concurrency: 2 * CHATS });
  };
  const launch = async (owner: string, settings: { note: boolean; dieAt?: string }) => {
    const { clientId, clientSecret, refreshToken } = defaultZoho;
    const all = {
      ...settings,
      ...{ owner, clientId, clientSecret, refreshToken, codyKey: defaultApiKey, chats: CHATS },
      ...{ codyUrl: cody.url, zohoUrl: zoho.url, redisUrl: redis.url, folder: join(folder, owner) },
    };
    const child = spawn(process.execPath, [PROGRAM], {
      env: { ...process.env, SETTINGS: JSON.stringify(all) },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    processes.set(owner, child);
    await new Promise((resolve) => child.stdout!.once('data', resolve));
  };
  const ended = (child: ChildProcess) =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once('exit', () => resolve());
    });
  /** Lets every process end what it has begun, and end: then whatever was to come has come. */
  const finish = async () => {
    for (const child of processes.values()) child.send('finish');
    await Promise.all([...processes.values()].map(ended));
    for (const child of processes.values()) assert.equal(child.exitCode, 0);
  };
  /** Kills the first process when all chats stand at the crash point. */
  const crashAt = (point: CrashPoint, { second, note }: Variation): Promise<void> => {
    const first = processes.get('first')!;
    if (point === 'after the answer, before the checkpoint') return ended(first);
    let standing = 0;
    const isBefore = point === 'before the request';
    const lookUp = { path: /coql|Cases\/search/, body: /Cases|^$/ };
    const request = { method: 'POST', path: !isBefore && second && note ? /v8\/Notes$/ : /v8\/Cases$/ };
    zoho.fail({
      ...(isBefore && second ? lookUp : request),
      times: CHATS,
      answer: isBefore ? 'hang' : 'hang-after',
      onHit: () => {
        standing += 1;
        if (standing === CHATS) first.kill('SIGKILL');
      },
    });
    return ended(first);
  };

  const run = async (point: CrashPoint, redisState: RedisState, count: number, variation: Variation) => {
    await begin(variation);
    const { note } = variation;
    const isLast = point === 'after the answer, before the checkpoint';
    const dieAt = isLast ? { dieAt: variation.second ? 'checkpoint' : 'case' } : {};
    await launch('first', { note, ...dieAt });
    await until(() => cody.calls.conversations > 0, 'the first poll', WITHIN_MS);
    if (count === 2) await launch('second', { note });
    const crashed = crashAt(point, variation);
    const ids = Array.from({ length: CHATS }, () => cody.chat());
    await crashed;
    if (redisState === 'down') await redis.kill();
    if (redisState === 'flushed') await redis.client().flushall();
    const polls = cody.calls.conversations;
    if (count === 2 && variation.late) {
      await until(() => cody.calls.conversations > polls, 'a poll of the other process', WITHIN_MS);
    }
    await launch('first', { note });
    const isWhole = (id: string) => {
      const [made] = zoho.casesOf(id);
      return made !== undefined && (!note || zoho.notesOf(made.id).length > 0);
    };
    await until(() => ids.every(isWhole), 'the Cases', WITHIN_MS);
    if (redisState === 'down' && variation.returns) await redis.restart();
    const later = cody.chat();
    await until(() => isWhole(later), 'the next Case', WITHIN_MS);
    await finish();
    for (const id of [...ids, later]) {
      assert.equal(zoho.casesOf(id).length, 1, `Cases of ${id}`);
      if (note) assert.equal(zoho.notesOf(zoho.casesOf(id)[0]!.id).length, 1, `Notes of ${id}`);
    }
    await Promise.all([cody.close(), zoho.close()]);
    if (redisState === 'down') await redis.restart();
    await redis.client().flushall();
  };

  for (const point of POINTS) {
    for (const redisState of REDIS_STATES) {
      for (const count of [1, 2]) {
        const of = count === 1 ? 'one process' : 'two processes';
        it(`${point}, of ${of}, Redis ${redisState}: leaves one Case for each of ${KILLS * CHATS} chats`, async () => {
          for (let number = 0; number < KILLS; number++) {
            await run(point, redisState, count, {
              // Without Redis processes wait for each other before they add a Note, which takes half a minute.
              note: redisState !== 'down' || (count === 1 && number === 2),
              // Without a unique field nothing is made while Redis is down: that is tested elsewhere.
              unique: redisState === 'down' || number % 2 === 0,
              coql: number % 3 !== 1,
              second: number % 4 >= 2,
              late: number % 2 === 1,
              returns: number % 2 === 0,
            });
          }
        });
      }
    }
  }
});
