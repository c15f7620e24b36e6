import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Twins } from '../../../lib/core/twins';

describe('twins on two connections', () => {
  it('are each let through once, however two connections with the same content are interleaved', () => {
    const content = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 30 });
    fc.assert(
      fc.property(content, fc.infiniteStream(fc.boolean()), (sent, coins) => {
        const twins = new Twins();
        const queues = [[...sent], [...sent]];
        const through: string[] = [];
        while (queues[0]!.length + queues[1]!.length > 0) {
          const wanted = coins.next().value ? 0 : 1;
          const connection = queues[wanted]!.length > 0 ? wanted : 1 - wanted;
          const next = queues[connection]!.shift()!;
          if (!twins.isTwin(next, connection)) through.push(next);
        }
        assert.deepEqual(through.sort(), [...sent].sort());
      }),
    );
  });

  it('are none on a single connection: there the same content twice is two events', () => {
    const twins = new Twins();
    assert.deepEqual(
      ['a', 'a', 'a'].map((content) => twins.isTwin(content, 1)),
      [false, false, false],
    );
  });

  it('are forgotten with the second connection', () => {
    const twins = new Twins();
    twins.isTwin('a', 1);
    twins.clear();
    assert.equal(twins.isTwin('a', 2), false);
  });
});
