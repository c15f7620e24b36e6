/** A CPU profile as the inspector writes it, as far as it is read here. */
export interface CpuProfile {
  nodes: readonly { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  /** The ids of the nodes that were running, and how long after the sample before, in microseconds. */
  samples: readonly number[];
  timeDeltas: readonly number[];
}

/** A function and its part of the time in which the process was at work. */
export interface HotSpot {
  /** `name folder/file.js:line` */
  name: string;
  /** From 0 to 1, without what it has called. */
  share: number;
}

const IDLE = '(idle)';

/** The functions that took the most time of their own, the worst first. */
export function hotSpots({ nodes, samples, timeDeltas }: CpuProfile, most: number): HotSpot[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '';
    if (name === IDLE) continue;
    const time = timeDeltas[index] ?? 0;
    total += time;
    times.set(name, (times.get(name) ?? 0) + time);
  }
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, time]) => ({ name, share: time / total }));
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.split('/').slice(-2).join('/');
  return file === '' ? functionName || '(native)' : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}
