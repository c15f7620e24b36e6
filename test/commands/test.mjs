// `npm test`: installs and builds what is missing, runs the suites one after the other and adds them up.
// `npm test -- unit nodes` runs only these. REQUIRE_SERVICES=1 turns a skip for want of a service into a failure.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { giveUp, Obstacle, prepare, root } from './prepare.mjs';

/** No suite takes longer than this; one that hangs must not hang the run. */
const SUITE_WITHIN_MS = 15 * 60_000;

const SUITES = {
  lint: () => command(['node_modules/@biomejs/biome/bin/biome', 'ci', '--error-on-warnings']),
  types: () => command(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']),
  unit: () => mocha('unit'),
  nodes: () => mocha('nodes'),
  flows: () => mocha('flows'),
  browser: () => mocha('browser'),
};

try {
  const chosen = process.argv.slice(2);
  const unknown = chosen.filter((name) => !(name in SUITES));
  if (unknown.length > 0) {
    throw new Obstacle(
      `There is no suite called ${unknown.join(', ')}: choose from ${Object.keys(SUITES).join(', ')}.`,
    );
  }
  prepare();
  if (chosen.length === 0 || chosen.includes('browser')) startServices();
  const rows = Object.keys(SUITES)
    .filter((name) => chosen.length === 0 || chosen.includes(name))
    .map(run);
  process.exitCode = report(rows);
} catch (error) {
  giveUp(error);
}

function run(name) {
  console.log(`\n━━ ${name} ${'━'.repeat(70 - name.length)}`);
  const began = Date.now();
  const result = SUITES[name]();
  return { name, ...result, seconds: (Date.now() - began) / 1000 };
}

/** A check that passes or fails as a whole. */
function command(args) {
  const passed = node(args).status === 0;
  return { passed: Number(passed), failed: Number(!passed), skipped: [] };
}

function mocha(suite) {
  const summary = join(root, '.work', `${suite}.json`);
  mkdirSync(join(root, '.work'), { recursive: true });
  rmSync(summary, { force: true });
  const args = ['--reporter', './test/commands/reporter.ts', '--forbid-only', `test/${suite}/**/*.test.ts`];
  const { status } = node(['node_modules/mocha/bin/mocha.js', ...args], { TEST_SUMMARY: summary });
  const result = existsSync(summary)
    ? JSON.parse(readFileSync(summary, 'utf8'))
    : { passed: 0, failed: 0, skipped: [] };
  // A suite that fell over before or after its tests counts as one failure.
  if (status !== 0 && result.failed === 0) result.failed = 1;
  return result;
}

function node(args, env = {}) {
  const result = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
    timeout: SUITE_WITHIN_MS,
  });
  if (result.error) console.error(`It did not end by itself: ${result.error.message}`);
  return result;
}

/** On Debian as root what the suites need is installed and started; elsewhere they find it or say what is missing. */
function startServices() {
  if (!existsSync('/etc/debian_version') || process.getuid?.() !== 0) return;
  spawnSync(join(root, 'test/services/up'), { stdio: ['ignore', 'inherit', 'inherit'] });
}

function report(rows) {
  const totals = { name: 'total', passed: 0, failed: 0, skipped: [], seconds: 0 };
  for (const row of rows) {
    for (const column of ['passed', 'failed', 'seconds']) totals[column] += row[column];
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
