// What a process holds, for a run of hours. Plain JavaScript, because it runs inside of Node-RED, where nothing compiles.
const { readdirSync, readFileSync } = require('node:fs');
const { Session } = require('node:inspector');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const NANOSECONDS_A_MILLISECOND = 1e6;
/** How often the event loop is asked whether it is late, in milliseconds: being in time is not being late. */
const RESOLUTION_MS = 10;

/** Counts the listeners of all the emitters it is given. */
const COUNT_LISTENERS = `function () {
  let listeners = 0;
  for (const emitter of this) {
    if (typeof emitter._events !== 'object' || emitter._events === null) continue;
    for (const each of Object.values(emitter._events)) listeners += Array.isArray(each) ? each.length : each ? 1 : 0;
  }
  return listeners;
}`;

const isLinux = process.platform === 'linux';
let delay;

/**
 * Looks at this process: memory after a garbage collection (Node has to run with `--expose-gc`), every event emitter on
 * the heap and the listeners of all of them, open files and sockets, and how late the event loop was since the last
 * look, which does not count the look itself.
 */
function vitals() {
  delay ??= monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.disable();
  const late = (nanoseconds) => Math.max(0, nanoseconds / NANOSECONDS_A_MILLISECOND - RESOLUTION_MS);
  const loopDelayMs = {
    p50: late(delay.percentile(50)),
    p99: late(delay.percentile(99)),
    max: late(delay.max),
  };
  const counts = countEmitters();
  global.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const found = {
    rssBytes: rss,
    mappedBytes: isLinux ? mappedBytes() : null,
    heapBytes: heapUsed,
    externalBytes: external,
    ...counts,
    handles: isLinux ? readdirSync('/proc/self/fd').length : null,
    resources: process.getActiveResourcesInfo().length,
    cpuMicroseconds: user + system,
    loopDelayMs,
  };
  delay.reset();
  delay.enable();
  return found;
}

/** The part of the memory that is pages of files, such as the program and the embedded stores. */
function mappedBytes() {
  const [, kilobytes] = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(kilobytes) * 1_024;
}

function countEmitters() {
  const session = new Session();
  session.connect();
  try {
    const objectsOf = (expression) => {
      const { objectId: prototypeObjectId } = post(session, 'Runtime.evaluate', { expression }).result;
      return post(session, 'Runtime.queryObjects', { prototypeObjectId }).objects.objectId;
    };
    const ask = (objectId, functionDeclaration) =>
      post(session, 'Runtime.callFunctionOn', { objectId, functionDeclaration, returnByValue: true }).result.value;
    const emitters = objectsOf('process.getBuiltinModule("node:events").prototype');
    const targets = objectsOf('EventTarget.prototype');
    return {
      emitters: ask(emitters, 'function () { return this.length; }'),
      listeners: ask(emitters, COUNT_LISTENERS),
      eventTargets: ask(targets, 'function () { return this.length; }'),
    };
  } finally {
    session.disconnect();
  }
}

/** A command to the inspector of one's own thread is answered before the call returns. */
function post(session, method, parameters) {
  let answer;
  session.post(method, parameters, (error, result) => {
    if (error) throw new Error(`${method}: ${error.message}`);
    answer = result;
  });
  return answer;
}

module.exports = { vitals };
