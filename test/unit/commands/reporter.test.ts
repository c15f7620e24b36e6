import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SuiteSummary } from '../../commands/reporter';
import { ROOT } from '../../services/node-red';

/** Runs a suite of this source as `npm test` runs one. */
function runSuite(source: string): { status: number | null; output: string; summary: SuiteSummary } {
  // Inside the checkout, so that the source finds what the tests import.
  const folder = mkdtempSync(join(ROOT, 'test/.reporter-'));
  try {
    const file = join(folder, 'example.ts');
    const summary = join(folder, 'summary.json');
    writeFileSync(file, source);
    const reporter = ['--reporter', './test/commands/reporter.ts', '--reporter-option', 'lingerMs=200'];
    const mocha = [join(ROOT, 'node_modules/mocha/bin/mocha.js'), ...reporter, file];
    const { status, stdout, stderr } = spawnSync(process.execPath, mocha, {
      cwd: ROOT,
      encoding: 'utf8',
      env: { ...process.env, TEST_SUMMARY: summary, REQUIRE_SERVICES: '', ELASTICSEARCH_URL: '' },
    });
    return { status, output: stdout + stderr, summary: JSON.parse(readFileSync(summary, 'utf8')) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the reporter of npm test', function () {
  this.timeout(60_000);

  it('counts passed and failed tests', () => {
    const { status, summary } = runSuite(`it('one', () => {}); it('two', () => { throw new Error('no'); });`);
    assert.deepEqual(summary, { passed: 1, failed: 1, skipped: [] });
    assert.notEqual(status, 0);
  });

  it('keeps the reason of a skip for want of a service, also for tests in an inner describe', () => {
    const { status, summary } = runSuite(`
      import { requireService } from '../services/requirements';
      describe('a', () => { requireService('elasticsearch'); it('b', () => {}); describe('c', () => { it('d', () => {}); }); });
      it('e', () => {});`);
    assert.equal(summary.passed, 1);
    assert.deepEqual(
      summary.skipped.map(({ title }) => title),
      ['a b', 'a c d'],
    );
    for (const { reason } of summary.skipped) assert.match(reason, /ELASTICSEARCH_URL is not set/);
    assert.equal(status, 0);
  });

  it('fails a test that is skipped without a reason', () => {
    const { status, output, summary } = runSuite(`it('one', () => {}); it.skip('two', () => {});`);
    assert.deepEqual(summary, { passed: 1, failed: 1, skipped: [] });
    assert.match(output, /Skipped without a reason: two/);
    assert.equal(status, 1);
  });

  it('fails a suite that leaves something open, and names it', () => {
    const { status, output, summary } = runSuite(`it('one', () => { setInterval(() => {}, 1000); });`);
    assert.deepEqual(summary, { passed: 1, failed: 1, skipped: [] });
    assert.match(output, /still open: .*Timeout/);
    assert.equal(status, 1);
  });
});
