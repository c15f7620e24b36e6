// Measures the process it is loaded into. Plain JavaScript, because it runs where nothing compiles: in Node-RED and in
// plain scripts, next to what is measured.
const { writeFileSync } = require('node:fs');
const { Session } = require('node:inspector');

const SAMPLE_EVERY_MS = 50;
const PROFILE_EVERY_MICROSECONDS = 500;
let runs = 0;

/**
 * Starts to measure; the function it returns ends that and gives the figures of the time between:
 * `{seconds, cpuMicroseconds, rssBytes, heapBytes}`. The CPU time is that of the whole process with all its threads,
 * the memory figures are the highest that were seen.
 *
 * With a file name in BENCH_PROFILE, a CPU profile of all runs after the first is written to it in the end.
 */
function startMeter() {
  runs += 1;
  if (process.env.BENCH_PROFILE && runs === 2) startProfile(process.env.BENCH_PROFILE);
  let rssBytes = 0;
  let heapBytes = 0;
  const sample = () => {
    const { rss, heapUsed } = process.memoryUsage();
    rssBytes = Math.max(rssBytes, rss);
    heapBytes = Math.max(heapBytes, heapUsed);
  };
  const timer = setInterval(sample, SAMPLE_EVERY_MS);
  const cpu = process.cpuUsage();
  const began = performance.now();
  return () => {
    const seconds = (performance.now() - began) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    clearInterval(timer);
    sample();
    return { seconds, cpuMicroseconds: user + system, rssBytes, heapBytes };
  };
}

function startProfile(file) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: PROFILE_EVERY_MICROSECONDS });
  session.post('Profiler.start');
  process.once('exit', () =>
    session.post('Profiler.stop', (_error, { profile }) => writeFileSync(file, JSON.stringify(profile))),
  );
}

module.exports = { startMeter };
