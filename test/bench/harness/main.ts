import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../../services/node-red';
import type { Benchmark, BenchmarkOptions, LongRun, Measurement } from './benchmark';
import { type CpuProfile, hotSpots } from './hot-spots';
import { profileFile } from './processes';
import { judge, render } from './report';
import { orderOf } from './statistics';

const FOLDER = join(__dirname, '..');
const RESULTS = join(ROOT, '.work/bench');
const MOST_HOT_SPOTS = 15;

/** Runs the benchmarks that the command line names, or all but those that take hours. */
export async function main(words: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: words,
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      profile: { type: 'boolean', default: false },
      minutes: { type: 'string' },
    },
  });
  const known = readdirSync(FOLDER).flatMap((file) => /^(.+)\.ts$/.exec(file)?.[1] ?? []);
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(`There is no benchmark called ${unknown.join(', ')}: choose from ${known.join(', ')}.`);
  }
  for (const name of positionals.length > 0 ? positionals : known) {
    const { benchmark, longRun } = require(join(FOLDER, name)) as { benchmark?: Benchmark; longRun?: LongRun };
    if (longRun && positionals.length > 0) await longRun.run(Number(values.minutes ?? longRun.minutes));
    if (!benchmark) continue;
    const rounds = Number(values.rounds ?? benchmark.rounds);
    const profileFolder = values.profile ? join(RESULTS, 'profiles', name) : undefined;
    await measure(name, { ...benchmark, rounds }, { profileFolder });
  }
}

async function measure(name: string, benchmark: Benchmark, options: BenchmarkOptions): Promise<void> {
  const { profileFolder } = options;
  mkdirSync(profileFolder ?? RESULTS, { recursive: true });
  const contenders = await benchmark.prepare(options);
  const rounds = new Map(contenders.map((contender): [string, Measurement[]] => [contender.name, []]));
  try {
    // The first round is for warming up.
    for (let round = 0; round <= benchmark.rounds; round += 1) {
      process.stderr.write(`${name}: ${round === 0 ? 'warming up' : `round ${round} of ${benchmark.rounds}`}\n`);
      for (const { name: contender, share = 1, run } of orderOf(contenders, round)) {
        const measurement = await run(Math.round(benchmark.items * share));
        if (round > 0) rounds.get(contender)?.push(measurement);
      }
    }
  } finally {
    await Promise.allSettled(contenders.map(({ close }) => close()));
  }
  const outcomes = judge(benchmark.targets, rounds);
  console.log(`\n${render(benchmark, rounds, outcomes)}\n`);
  if (profileFolder) printHotSpots(profileFolder, [...rounds.keys()]);
  const machine = { node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model, memoryBytes: totalmem() };
  const result = {
    name,
    title: benchmark.title,
    at: new Date(),
    machine,
    outcomes,
    rounds: Object.fromEntries(rounds),
  };
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

/** What of its time each contender has spent where. */
function printHotSpots(folder: string, contenders: readonly string[]): void {
  for (const contender of contenders) {
    const file = profileFile(folder, contender);
    const spots = hotSpots(JSON.parse(readFileSync(file, 'utf8')) as CpuProfile, MOST_HOT_SPOTS);
    console.log(`${contender} (${file})`);
    for (const { name, share } of spots) console.log(`${(100 * share).toFixed(1).padStart(6)} %  ${name}`);
    console.log();
  }
}
