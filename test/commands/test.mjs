// `npm test`: installs and builds what is missing, runs the suites one after the other and adds them up. The flows mostly
// wait, so others run beside them, one after the other; what those have to say is printed when all are done.
// `npm test -- unit nodes` runs only these. REQUIRE_SERVICES=1 turns a skip for want of a service into a failure.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { giveUp, Obstacle, prepare, root } from './prepare.mjs';

/** No suite takes longer than this; one that hangs must not hang the run. */
const SUITE_WITHIN_MS = 15 * 60_000;
const REST_OF_OUTPUT_MS = 2_000;

const SUITES = {
  lint: (print) => command(['node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings'], print),
  types: (print) => command(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json'], print),
  unit: (print) => mocha('unit', print),
  nodes: (print) => mocha('nodes', print),
  flows: (print) => mocha('flows', print),
  system: (print) => mocha('system', print),
  browser: (print) => mocha('browser', print),
};
/** Which suites run beside which. */
const BESIDE = { nodes: 'unit', system: 'flows', browser: 'flows' };

try {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in SUITES));
  if (unknown.length > 0) {
    throw new Obstacle(
      `There is no suite called ${unknown.join(', ')}: choose from ${Object.keys(SUITES).join(', ')}.`,
    );
  }
  await prepare();
  if (chosen.length === 0 || chosen.includes('browser')) startServices();
  const names = Object.keys(SUITES).filter((name) => chosen.length === 0 || chosen.includes(name));
  const began = Date.now();
  const rows = await runAll(names);
  process.exitCode = report(rows, (Date.now() - began) / 1000);
} catch (error) {
  giveUp(error);
}

async function runAll(names) {
  const isBeside = (name) => names.includes(BESIDE[name]);
  const rows = new Map();
  for (const name of names.filter((each) => !isBeside(each))) {
    let said = '';
    const aside = async () => {
      for (const companion of names.filter((each) => BESIDE[each] === name)) {
        const row = await run(companion, (chunk) => {
          said += chunk;
        });
        rows.set(companion, row);
      }
    };
    const [row] = await Promise.all([run(name, (chunk) => process.stdout.write(chunk)), aside()]);
    rows.set(name, row);
    process.stdout.write(said);
  }
  return names.map((name) => rows.get(name));
}

async function run(name, print) {
  print(`\n━━ ${name} ${'━'.repeat(70 - name.length)}\n`);
  const began = Date.now();
  const result = await SUITES[name](print);
  return { name, ...result, seconds: (Date.now() - began) / 1000 };
}

/** A check that passes or fails as a whole. */
async function command(args, print) {
  const passed = (await node(args, print)) === 0;
  return { passed: Number(passed), failed: Number(!passed), skipped: [] };
}

async function mocha(suite, print) {
  const summary = join(root, '.work', `${suite}.json`);
  mkdirSync(join(root, '.work'), { recursive: true });
  rmSync(summary, { force: true });
  const colour = process.stdout.isTTY ? ['--color'] : [];
  const args = [...colour, '--reporter', './test/commands/reporter.ts', '--forbid-only', `test/${suite}/**/*.test.ts`];
  const code = await node(['node_modules/mocha/bin/mocha.js', ...args], print, { TEST_SUMMARY: summary });
  const result = existsSync(summary)
    ? JSON.parse(readFileSync(summary, 'utf8'))
    : { passed: 0, failed: 0, skipped: [] };
  // A suite that fell over before or after its tests counts as one failure.
  if (code !== 0 && result.failed === 0) result.failed = 1;
  return result;
}

/** Answers the exit code; `null` for a suite that a signal has ended. */
async function node(args, print, env = {}) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: SUITE_WITHIN_MS,
  });
  const outputs = [child.stdout, child.stderr];
  for (const output of outputs) output.setEncoding('utf8').on('data', print);
  const closed = once(child, 'close');
  const [code, signal] = await once(child, 'exit');
  // A server that a test has left behind may hold the pipes open.
  await Promise.race([closed, delay(REST_OF_OUTPUT_MS)]);
  for (const output of outputs) output.destroy();
  if (signal) print(`It did not end by itself: ${signal} after ${SUITE_WITHIN_MS / 60_000} minutes\n`);
  return code;
}

/** On Debian as root what the suites need is installed and started; elsewhere they find it or say what is missing. */
function startServices() {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) return;
  spawnSync(join(root, 'test/services/up'), { stdio: ['ignore', 'inherit', 'inherit'] });
}

function report(rows, seconds) {
  const totals = { name: 'total', passed: 0, failed: 0, skipped: [], seconds };
  for (const row of rows) {
    for (const column of ['passed', 'failed']) totals[column] += row[column];
    totals.skipped.push(...row.skipped);
  }
  const line = (...cells) =>
    console.log(cells.map((cell, i) => (i ? String(cell).padStart(9) : cell.padEnd(9))).join(''));
  console.log();
  line('suite', 'passed', 'failed', 'skipped', 'time');
  for (const { name, passed, failed, skipped, seconds } of [...rows, totals]) {
    line(name, passed, failed, skipped.length, `${seconds.toFixed(1)} s`);
  }
  for (const [reason, count] of countReasons(totals.skipped)) console.log(`\nSkipped ${count}: ${reason}`);
  const skips = totals.skipped.length > 0 ? `, ${totals.skipped.length} skipped` : '';
  console.log(`\n${totals.passed} passed, ${totals.failed} failed${skips}`);
  return totals.failed > 0 ? 1 : 0;
}

function countReasons(skipped) {
  const counts = new Map();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return counts;
}
