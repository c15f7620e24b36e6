// What a process holds, for a run of hours. Plain JavaScript, because it runs inside of Node-RED, where nothing compiles.
const { readdirSync, readFileSync, readlinkSync } = require('node:fs');
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

/** How many emitters there are by the name of their class. */
const COUNT_CLASSES = `function () {
  const counts = {};
  for (const { constructor } of this) {
    const name = typeof constructor === 'function' ? constructor.name : '';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}`;

/** The state of a socket that waits for connections, in the tables of the system. */
const LISTENING = '0A';

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
    ...(isLinux ? countHandles() : { handles: null, handlesByKind: {} }),
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

/** All open files and sockets, and how many there are of each kind: sockets by the port they were made to. */
function countHandles() {
  const targets = readdirSync('/proc/self/fd').flatMap((each) => {
    try {
      return [readlinkSync(`/proc/self/fd/${each}`)];
    } catch {
      // The folder itself was open while it was read.
      return [];
    }
  });
  const sockets = new Map(['tcp', 'tcp6'].flatMap(socketsOf));
  const ports = new Set([...sockets.values()].filter(({ state }) => state === LISTENING).map(({ local }) => local));
  const handlesByKind = {};
  for (const target of targets) {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(target) ?? [];
    const socket = sockets.get(inode);
    const kind = socket ? kindOf(socket, ports) : target.replace(/:\[\d+\]$/, '');
    handlesByKind[kind] = (handlesByKind[kind] ?? 0) + 1;
  }
  return { handles: targets.length, handlesByKind };
}

function kindOf({ local, remote, state }, ports) {
  if (state === LISTENING) return `server at port ${local}`;
  return ports.has(local) ? `connection from outside to port ${local}` : `connection to port ${remote}`;
}

/** The sockets of the machine by their inode. */
function socketsOf(table) {
  const lines = readFileSync(`/proc/self/net/${table}`, 'utf8').trim().split('\n').slice(1);
  return lines.map((line) => {
    const [, local, remote, state, , , , , , inode] = line.trim().split(/\s+/);
    return [inode, { local: portOf(local), remote: portOf(remote), state }];
  });
}

function portOf(address) {
  return Number.parseInt(address.split(':')[1], 16);
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
      emittersByClass: ask(emitters, COUNT_CLASSES),
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
