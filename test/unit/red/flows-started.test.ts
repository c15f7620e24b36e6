import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { whenFlowsStarted } from '../../../lib/red/flows-started';
import type { Red, RuntimeNode } from '../../../lib/red/node';

describe('what waits until the flows have started', () => {
  const events = new EventEmitter();
  const RED = { events } as unknown as Red;
  const nodeOf = () => Object.assign(new EventEmitter(), { error: () => {}, log: () => {} }) as unknown as RuntimeNode;

  it('runs once for each node that is still there, whatever another one does, and listens only once for all', () => {
    const runs: number[] = [];
    const nodes = Array.from({ length: 20 }, nodeOf);
    for (const [index, node] of nodes.entries()) {
      whenFlowsStarted(RED, node, () => {
        runs.push(index);
        if (index === 1) throw new Error('no luck');
      });
    }
    assert.equal(events.listenerCount('flows:started'), 1);
    nodes[0]?.emit('close');
    events.emit('flows:started');
    events.emit('flows:started');
    assert.deepEqual(
      runs,
      nodes.map((_, index) => index).filter((index) => index > 0),
    );
    whenFlowsStarted(RED, nodeOf(), () => runs.push(99));
    events.emit('flows:started');
    assert.equal(runs.at(-1), 99);
    assert.equal(events.listenerCount('flows:started'), 1);
  });
});
