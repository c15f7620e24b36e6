import { isDeepStrictEqual } from 'node:util';
import type { FlowEntry } from './node-red';

/**
 * Several flow files as one. A configuration node that is the same in two files stays once; two different things
 * with one id are an error that names it.
 */
export function mergeFlows(flows: readonly (readonly FlowEntry[])[]): FlowEntry[] {
  const merged = new Map<string, FlowEntry>();
  for (const entry of flows.flat()) {
    const before = merged.get(entry.id);
    if (before && !isDeepStrictEqual(before, entry)) {
      throw new Error(`Two different things have the id ${entry.id}: a ${before.type} and a ${entry.type}.`);
    }
    merged.set(entry.id, entry);
  }
  return [...merged.values()];
}
