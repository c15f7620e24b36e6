/** Where the messages of a sink have gone, in numbers of messages (for es-bulk-out: documents). */
export interface BooksSnapshot {
  received: number;
  delivered: number;
  duplicate: number;
  rejected: number;
  dropped: number;
  queued: number;
  inFlight: number;
}

/** The accounts from which nothing moves on. */
export type SettledAccount = 'delivered' | 'duplicate' | 'rejected' | 'dropped';

/** The settled accounts: what is stored with a spool, so that the books go on after a restart. */
export type SettledTotals = Pick<BooksSnapshot, SettledAccount>;

/**
 * The books of a sink: `received = delivered + duplicate + rejected + dropped + queued + in flight` at any instant.
 * A message enters through {@link Books.receive}; everything else moves it from one account to another, so no
 * method can unbalance the books. `received` is counted by itself, which is what makes {@link Books.balanced} a check.
 */
export class Books {
  private received = 0;
  private readonly settled: SettledTotals = { delivered: 0, duplicate: 0, rejected: 0, dropped: 0 };
  private queued = 0;
  private inFlight = 0;

  /** Goes on with what an earlier run left: its settled totals, and what still waits in its spool. */
  restore(totals: SettledTotals, queued: number): void {
    Object.assign(this.settled, totals);
    this.queued += queued;
    this.received += totals.delivered + totals.duplicate + totals.rejected + totals.dropped + queued;
  }

  /** Messages come in and wait. */
  receive(count = 1): void {
    this.received += count;
    this.queued += count;
  }

  /** Waiting messages are being sent. */
  start(count: number): void {
    this.queued -= count;
    this.inFlight += count;
  }

  /** Messages that were being sent wait again. */
  giveBack(count: number): void {
    this.inFlight -= count;
    this.queued += count;
  }

  /** Messages that were being sent are settled. */
  settle(account: SettledAccount, count = 1): void {
    this.inFlight -= count;
    this.settled[account] += count;
  }

  /** Waiting messages are settled without being sent: refused at the door, or dropped by the overflow policy. */
  settleQueued(account: SettledAccount, count = 1): void {
    this.queued -= count;
    this.settled[account] += count;
  }

  /** The settled accounts, to be stored with the spool. */
  totals(): SettledTotals {
    return { ...this.settled };
  }

  /** Waiting messages go into other books, which receive them at the same moment. */
  handOver(count = 1): void {
    this.received -= count;
    this.queued -= count;
  }

  /** All accounts, as they are now. */
  snapshot(): BooksSnapshot {
    return { received: this.received, ...this.settled, queued: this.queued, inFlight: this.inFlight };
  }

  /** Whether the accounts add up and none is negative. */
  get balanced(): boolean {
    return isBalanced(this.snapshot());
  }
}

/** Several books as one. */
export function sumOfBooks(books: readonly BooksSnapshot[]): BooksSnapshot {
  const sum = new Books().snapshot();
  for (const each of books) {
    for (const account of Object.keys(sum) as (keyof BooksSnapshot)[]) sum[account] += each[account];
  }
  return sum;
}

/** Whether a snapshot adds up and no account is negative. */
export function isBalanced(books: BooksSnapshot): boolean {
  const { received, ...accounts } = books;
  const values = Object.values(accounts);
  return received === values.reduce((sum, value) => sum + value, 0) && values.every((value) => value >= 0);
}
