import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskDatabase } from '../../../lib/core/disk-database';
import { ContactError } from '../../../lib/core/errors';
import { silentLogger } from '../../../lib/core/log';
import { HeldMessages } from '../../../lib/red/held-messages';
import { until } from '../until';

describe('held messages', () => {
  let folder: string;
  let sent: number[];
  let opened: HeldMessages[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'held-'));
    [sent, opened] = [[], []];
  });
  afterEach(async () => {
    for (const each of opened) await each.close(500);
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (limit?: number) => {
    const held = new HeldMessages({
      folder,
      send: (message) => sent.push((message as { payload: number }).payload),
      onChange: () => {},
      logger: silentLogger,
      ...(limit === undefined ? {} : { limit }),
    });
    opened.push(held);
    return held;
  };
  const take = (held: HeldMessages, from: number, count: number) => {
    for (let payload = from; payload < from + count; payload += 1) held.take({ payload });
  };
  const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);

  it('go straight into the flow while there is no pause', () => {
    const held = open();
    held.start();
    take(held, 0, 3);
    assert.deepEqual(sent, numbers(3));
  });

  it('stay in their order, also when more come while those of the pause are being sent', async () => {
    const held = open();
    held.start();
    held.pause();
    take(held, 0, 500);
    assert.deepEqual([sent.length, held.count], [0, 500]);
    held.resume();
    take(held, 500, 500);
    await until(() => sent.length === 1_000);
    assert.deepEqual(sent, numbers(1_000));
  });

  it('outlive the process, and wait for the flow to be there', async () => {
    const first = open();
    first.start();
    first.pause();
    take(first, 0, 5);
    await first.close(500);
    const second = open();
    take(second, 5, 1);
    await until(() => second.count === 6);
    assert.deepEqual(sent, []);
    second.start();
    await until(() => sent.length === 6);
    assert.deepEqual(sent, numbers(6));
  });

  it('go into the flow when they cannot be stored, so that none is lost', async () => {
    const held = open();
    held.start();
    held.pause();
    const { write } = DiskDatabase.prototype;
    DiskDatabase.prototype.write = () => Promise.reject(new ContactError('BUFFER_FAILED', { attempted: 'write' }));
    try {
      take(held, 0, 3);
      await until(() => held.count === 0);
    } finally {
      DiskDatabase.prototype.write = write;
    }
    assert.deepEqual(sent, numbers(3));
  });

  it('go into the flow when they come while it is closed', async () => {
    const held = open();
    held.start();
    held.pause();
    const closed = held.close(500);
    take(held, 0, 2);
    await closed;
    assert.deepEqual(sent, numbers(2));
  });

  it('wait for the flow to be there, also when a pause begins or ends before', async () => {
    const held = open();
    take(held, 0, 2);
    held.pause();
    take(held, 2, 2);
    held.resume();
    await until(() => held.count === 4);
    assert.deepEqual(sent, []);
    held.pause();
    held.start();
    assert.deepEqual(sent, []);
    held.resume();
    await until(() => sent.length === 4);
    assert.deepEqual(sent, numbers(4));
  });

  it('end the pause when there are too many, so that none is lost', async () => {
    const held = open(10);
    held.start();
    held.pause();
    take(held, 0, 11);
    await until(() => sent.length === 11);
    assert.equal(held.isPaused, false);
  });
});
