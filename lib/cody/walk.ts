import { nextPage } from './client';
import { type CodyConversation, type CodyPage, isNewestFirst } from './shapes';

/** Reads one page of the list. */
export type ReadPage = (page: number) => Promise<CodyPage<CodyConversation>>;

/** How the list is sorted: Cody does not say, so it is watched. */
export type ListDirection = 'newest-first' | 'oldest-first' | 'unknown';

/** What a step of a walk has brought. */
export interface WalkStep {
  conversations: CodyConversation[];
  /** Whether the walk has come to its end. */
  isOver: boolean;
}

/** Below so many pages a walk through all of them costs hardly more than one through the newest. */
const FEW_PAGES = 3;

/**
 * Walks through the list of conversations, from the newest page to the oldest where the list is sorted. There is no way
 * to ask for what is new, so most polls read only the newest pages, as far as something new is on them, and now and then
 * all pages are read again.
 */
export class ListWalk {
  /** As far as the pages that were read have shown. */
  direction: ListDirection = 'unknown';
  /** How many pages there are, as far as is known. */
  pages = 0;
  /** How many conversations there are, as far as Cody says. */
  total: number | undefined;
  private isProbed = false;
  /** The page that the full walk reads next; nothing when none is under way. */
  private next: number | undefined;
  /** Ids of the page before: a list that gives the same page again does not advance. */
  private before = '';

  constructor(private readonly readPage: ReadPage) {}

  /** Whether a full walk is under way. */
  get isWalking(): boolean {
    return this.next !== undefined;
  }

  /** Whether all pages can be read at each poll. */
  get isShort(): boolean {
    return this.pages <= FEW_PAGES || this.direction === 'unknown';
  }

  /** The page that the full walk reads next. */
  get position(): number | undefined {
    return this.next;
  }

  /** Begins a full walk, at a page where an earlier one has stopped if it is given. */
  async begin(from?: number): Promise<void> {
    this.before = '';
    if (!this.isProbed) await this.probe();
    const start = this.direction === 'oldest-first' ? Math.max(1, this.pages) : 1;
    this.next = from === undefined || from < 1 ? start : Math.min(from, Math.max(1, this.pages));
  }

  /** Reads the next page of the full walk. `isOld` tells of a conversation that it and all older ones do not count. */
  async step(isOld: (conversation: CodyConversation) => boolean): Promise<WalkStep> {
    if (this.next === undefined) return { conversations: [], isOver: true };
    const page = await this.read(this.next);
    const isBackwards = this.direction === 'oldest-first';
    const ids = page.items.map(({ id }) => id).join(' ');
    const hasAdvanced = ids !== this.before;
    this.before = ids;
    const after = isBackwards ? this.next - 1 || undefined : nextPage(this.next, page.next);
    // In a sorted list everything beyond a page of old ones is older still.
    const isPast = this.direction !== 'unknown' && page.items.length > 0 && page.items.every(isOld);
    this.next = hasAdvanced && !isPast ? after : undefined;
    return { conversations: page.items, isOver: this.next === undefined };
  }

  /** Reads the newest pages, `most` of them at most, until one brings nothing that `take` finds new. */
  async newest(take: (conversations: CodyConversation[]) => Promise<number>, most: number): Promise<void> {
    const isBackwards = this.direction === 'oldest-first';
    let number: number | undefined = isBackwards ? Math.max(1, this.pages) : 1;
    const read = new Set<number>();
    while (number !== undefined && !read.has(number) && read.size < most) {
      read.add(number);
      const page: CodyPage<CodyConversation> = await this.read(number);
      // A list that has grown has its newest ones on a page further behind.
      if (isBackwards && this.pages > number && !read.has(this.pages)) {
        await take(page.items);
        number = this.pages;
        continue;
      }
      if ((await take(page.items)) === 0) return;
      number = isBackwards ? number - 1 || undefined : nextPage(number, page.next);
    }
  }

  /** Looks at the first and the last page to learn how the list is sorted. */
  private async probe(): Promise<void> {
    const first = await this.read(1);
    this.isProbed = true;
    const last = this.pages > 1 ? await this.read(this.pages) : undefined;
    const ends = [...first.items.slice(0, 1), ...(last?.items.slice(-1) ?? first.items.slice(-1))];
    const newestFirst = isNewestFirst(ends);
    const isSorted = [first, ...(last ? [last] : [])].every(({ items }) => isSortedAs(items, newestFirst));
    if (newestFirst !== undefined && isSorted) this.direction = newestFirst ? 'newest-first' : 'oldest-first';
  }

  private async read(number: number): Promise<CodyPage<CodyConversation>> {
    const page = await this.readPage(number);
    this.pages = page.pages ?? Math.max(this.pages, page.next ?? number);
    this.total = page.total;
    // One page out of order, and nothing can be concluded from the order any more.
    if (this.direction !== 'unknown' && !isSortedAs(page.items, this.direction === 'newest-first')) {
      this.direction = 'unknown';
    }
    return page;
  }
}

function isSortedAs(items: readonly CodyConversation[], newestFirst: boolean | undefined): boolean {
  const sign = newestFirst ? -1 : 1;
  return items.every((item, index) => index === 0 || sign * (item.createdAt - items[index - 1]!.createdAt) >= 0);
}
