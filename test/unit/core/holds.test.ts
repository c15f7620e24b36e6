import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Holds } from '../../../lib/core/holds';

describe('holds', () => {
  it('tell the oldest time that was not given back, never later and at most a second earlier', () => {
    const time = fc.integer({ min: 1_700_000_000_000, max: 1_700_000_010_000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(time, fc.boolean()), { maxLength: 60 }), (steps) => {
        const holds = new Holds();
        const held: number[] = [];
        for (const [timeMs, release] of steps) {
          if (release && held.length > 0) holds.giveBack(held.splice(timeMs % held.length, 1)[0]!);
          else {
            held.push(timeMs);
            holds.take(timeMs);
          }
          const oldest = held.length > 0 ? Math.min(...held) : undefined;
          if (oldest === undefined) assert.equal(holds.oldest, undefined);
          else assert.ok(holds.oldest! <= oldest && oldest - holds.oldest! < 1_000);
        }
      }),
    );
  });
});
