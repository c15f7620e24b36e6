/** A queue that takes from the front in constant time: an array's own `shift` moves every item that stays. */
export class Queue<Item> {
  private items: (Item | undefined)[] = [];
  private head = 0;

  /** How many items it holds. */
  get length(): number {
    return this.items.length - this.head;
  }

  /** The item at the front, which stays there. */
  get first(): Item | undefined {
    return this.items[this.head];
  }

  /** From the first to the last, without taking them. */
  *[Symbol.iterator](): Generator<Item> {
    for (let index = this.head; index < this.items.length; index += 1) yield this.items[index] as Item;
  }

  /** Puts an item at the end. */
  push(item: Item): void {
    this.items.push(item);
  }

  /** Takes the item at the front. */
  shift(): Item | undefined {
    const item = this.items[this.head];
    if (this.head >= this.items.length) return undefined;
    this.items[this.head] = undefined;
    this.head += 1;
    if (this.head > 1_024 && this.head * 2 > this.items.length) {
      // In place: an array that is left behind keeps its items alive until the old generation is collected.
      this.items.splice(0, this.head);
      this.head = 0;
    }
    return item;
  }

  /** The first item that fits, which stays where it is. */
  find(fits: (item: Item) => boolean): Item | undefined {
    for (let index = this.head; index < this.items.length; index += 1) {
      const item = this.items[index] as Item;
      if (fits(item)) return item;
    }
    return undefined;
  }

  /** Puts items before all others, in the order given. */
  unshift(items: readonly Item[]): void {
    this.items = [...items, ...this.items.slice(this.head)];
    this.head = 0;
  }
}
