import assert from 'node:assert/strict';
import { systemClock } from '../../../lib/core/clock';
import type { Logger } from '../../../lib/core/log';
import { quietLogger } from '../../../lib/core/quiet-logger';

describe('quiet logger', () => {
  let now: number;
  let lines: string[];
  let logger: Logger;

  beforeEach(() => {
    now = 0;
    lines = [];
    const write = (message: string) => {
      lines.push(message);
    };
    const plain: Logger = { error: write, warn: write, info: write, debug: write };
    logger = quietLogger(plain, { ...systemClock, now: () => now }, 1_000);
  });

  it('writes the same warning or error once in a while, and different ones each', () => {
    for (let count = 0; count < 5; count++) logger.warn('same');
    logger.error('other');
    logger.error('same');
    now = 1_000;
    logger.warn('same');
    assert.deepEqual(lines, ['same', 'other', 'same']);
  });

  it('leaves the other levels alone', () => {
    for (let count = 0; count < 2; count++) logger.info('info');
    for (let count = 0; count < 2; count++) logger.debug('debug');
    assert.equal(lines.length, 4);
  });

  it('does not remember texts for ever', () => {
    logger.warn('first');
    for (let count = 0; count < 500; count++) logger.warn(`text ${count}`);
    logger.warn('first');
    assert.equal(lines.filter((line) => line === 'first').length, 2);
  });
});
