import { writeFileSync } from 'node:fs';
import { type MochaOptions, type Runnable, type Runner, reporters, type Suite, type Test } from 'mocha';

/** What `npm test` adds up from each suite. */
export interface SuiteSummary {
  passed: number;
  failed: number;
  /** Each skipped test with the reason that was given for it. */
  skipped: { title: string; reason: string }[];
}

/** A suite of which a test cannot run here says why in this property; see test/services/requirements.ts. */
export interface SkippableSuite extends Suite {
  skipReason?: string;
}

/** How long after its last test a suite may still hold the process, in milliseconds; option `lingerMs`. */
const LINGER_MS = 10_000;

/**
 * Mocha's `spec` with three things more: the totals go to the file named by `TEST_SUMMARY`; a test that was skipped
 * without a reason counts as failed; and a suite that leaves a socket, a timer or a process behind fails too.
 */
export default class SummaryReporter extends reporters.Spec {
  constructor(runner: Runner, options: MochaOptions) {
    super(runner, options);
    const summary: SuiteSummary = { passed: 0, failed: 0, skipped: [] };
    runner.on('pass', () => {
      summary.passed += 1;
    });
    runner.on('fail', () => {
      summary.failed += 1;
    });
    const fail = (sentence: string) => {
      summary.failed += 1;
      runner.failures += 1;
      console.error(`\n${sentence}`);
    };
    runner.on('pending', (test) => {
      const reason = skipReason(test);
      if (reason) summary.skipped.push({ title: test.fullTitle(), reason });
      else fail(`Skipped without a reason: ${test.fullTitle()}`);
    });
    runner.once('end', () => {
      save(summary);
      const lingerMs = Number(options.reporterOptions?.lingerMs ?? LINGER_MS);
      setTimeout(() => {
        fail(`The suite has ended but something is still open: ${process.getActiveResourcesInfo().join(', ')}`);
        save(summary);
        // Mocha sets the exit code in such a listener too, to the failures it knew of when the tests ended.
        process.once('exit', () => {
          process.exitCode = 1;
        });
        process.exit();
      }, lingerMs).unref();
    });
  }
}

function skipReason(test: Test): string | undefined {
  for (let suite: SkippableSuite | undefined = (test as Runnable).parent; suite; suite = suite.parent) {
    if (suite.skipReason) return suite.skipReason;
  }
  return undefined;
}

function save(summary: SuiteSummary): void {
  const file = process.env['TEST_SUMMARY'];
  if (file) writeFileSync(file, JSON.stringify(summary));
}
