/** The table has a cell for each record and sighting; past this many records it is done in several parts. */
const LARGEST_PART = 500;

/**
 * Pairs records with sightings of the same kind of event that are at most `toleranceMs` apart. Both are given as times
 * in ascending order, and pairs do not cross: a socket keeps the order. As many pairs are made as possible, and of all
 * ways to do that the one with the least distance is taken. Gives for each record the index of its sighting, or -1.
 */
export function pairInOrder(records: readonly number[], sightings: readonly number[], toleranceMs: number): number[] {
  const paired: number[] = [];
  let next = 0;
  for (let start = 0; start < records.length; start += LARGEST_PART) {
    const part = records.slice(start, start + LARGEST_PART);
    while (next < sightings.length && sightings[next]! < part[0]! - toleranceMs) next += 1;
    const near = sightings.slice(next, next + 2 * LARGEST_PART).filter((time) => time <= part.at(-1)! + toleranceMs);
    const pairs = pairPart(part, near, toleranceMs);
    for (const index of pairs) paired.push(index < 0 ? -1 : next + index);
    next += Math.max(...pairs) + 1;
  }
  return paired;
}

/** The best way for the first i records and j sightings is the best of three: leave out one of the two last, or pair them. */
function pairPart(records: readonly number[], sightings: readonly number[], toleranceMs: number): number[] {
  const width = sightings.length + 1;
  // A pair is worth more than all distances together can cost.
  const worth = (records.length + 1) * (toleranceMs + 1);
  const best = new Float64Array((records.length + 1) * width);
  for (let i = 1; i <= records.length; i += 1) {
    for (let j = 1; j < width; j += 1) {
      const without = Math.max(best[(i - 1) * width + j]!, best[i * width + j - 1]!);
      best[i * width + j] = Math.max(without, best[(i - 1) * width + j - 1]! + gain(i, j));
    }
  }
  const pairs = records.map(() => -1);
  for (let i = records.length, j = sightings.length; i > 0 && j > 0; ) {
    const here = best[i * width + j]!;
    if (here === best[(i - 1) * width + j]) i -= 1;
    else if (here === best[i * width + j - 1]) j -= 1;
    else {
      pairs[i - 1] = j - 1;
      i -= 1;
      j -= 1;
    }
  }
  return pairs;

  function gain(i: number, j: number): number {
    const distance = Math.abs(records[i - 1]! - sightings[j - 1]!);
    return distance <= toleranceMs ? worth - distance : Number.NEGATIVE_INFINITY;
  }
}
