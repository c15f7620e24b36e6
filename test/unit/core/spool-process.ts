import { DiskSpool } from '../../../lib/core/disk-spool';
import { Outbox } from '../../../lib/core/outbox';

/**
 * A process that uses a disk spool until it is killed: `node spool-process.ts <what> <folder>`. It prints a line for
 * each thing that its parent waits for.
 */
const [, , what = '', folder = ''] = process.argv;
const MOST_QUEUED = 50_000;
const say = (line: string) => process.stdout.write(`${line}\n`);

/** Puts documents in and settles them at once, as fast as it goes. */
function work(): void {
  const spool = new DiskSpool<number>(folder);
  const { delivered = 0, duplicate = 0 } = spool.earlier ?? {};
  let next = delivered + duplicate + spool.count;
  let stored = 0;
  const outbox = new Outbox<number>({
    spool,
    batch: { items: 7, bytes: 1_000_000, ageMs: 1 },
    concurrency: 3,
    limits: { items: 100_000, bytes: 1e9 },
    overflow: 'refuse',
    backoff: { baseMs: 1, maxMs: 2 },
    send: async (entries) =>
      entries.map(({ body }) => ({ kind: Number(body.split(' ')[0]) % 3 === 0 ? 'duplicate' : 'delivered' })),
    onStored: () => {
      stored += 1;
      if (stored % 200 === 0) say(`stored ${stored}`);
    },
    onEnding: () => {},
  });
  const fill = () => {
    // Nothing is to be refused, not even while the disk is slow.
    for (let n = 0; n < 20 && outbox.snapshot().queued < MOST_QUEUED; n += 1) {
      outbox.offer(`${next} ${'x'.repeat(next % 50)}`, next);
      next += 1;
    }
    setImmediate(fill);
  };
  fill();
}

/** Fills the disk up to the limit that the parent has set, and tells what became of every document. */
async function fillUp(): Promise<void> {
  const spool = new DiskSpool<number>(folder);
  const counts = { stored: 0, failed: 0 };
  let reason = '';
  let isAway = true;
  const outbox = new Outbox<number>({
    spool,
    batch: { items: 100, bytes: 1_000_000, ageMs: 1 },
    concurrency: 2,
    limits: { items: 100_000, bytes: 1e9 },
    overflow: 'refuse',
    backoff: { baseMs: 1, maxMs: 2 },
    send: async () =>
      isAway ? ({ kind: 'busy', fault: 'limit', error: new Error('away') } as never) : { kind: 'delivered' },
    onStored: () => {
      counts.stored += 1;
    },
    onEnding: (_entry, ending) => {
      if (ending.kind !== 'rejected') return;
      counts.failed += 1;
      reason = `${ending.error.code} ${ending.error.message}`;
    },
  });
  const pause = () => new Promise((resolve) => setTimeout(resolve, 1));
  const told = () => counts.stored + counts.failed;
  for (let n = 0; n < 8_000; n += 1) {
    outbox.offer('x'.repeat(1_000), n);
    if (n % 250 === 249) while (told() <= n) await pause();
  }
  const full = { ...counts, books: outbox.snapshot(), state: outbox.state.state, reason };
  isAway = false;
  while (outbox.snapshot().delivered < counts.stored) await pause();
  outbox.offer('there is room again', 0);
  while (told() <= 8_000) await pause();
  const left = await outbox.close(1_000);
  say(JSON.stringify({ full, after: { ...counts, books: outbox.snapshot(), left: left.length } }));
}

if (what === 'work') work();
else if (what === 'fill up') void fillUp();
else if (what === 'hold') {
  new DiskSpool(folder);
  say('open');
  setInterval(() => {}, 1_000);
}
