import { type Clock, systemClock } from '../core/clock';
import { ContactError } from '../core/errors';
import type { Keeping, StateStore } from './store';

/** How often expired values are looked for, in milliseconds. */
const SWEEP_EVERY_MS = 60_000;

/** What a {@link MemoryStore} holds. As JSON, so that nobody changes a stored value through a reference. */
export type MemoryValues = Map<string, { text: string; expiresAt: number }>;

/** A {@link StateStore} that lives and ends with its process. Two of them with the same `values` are one store. */
export class MemoryStore implements StateStore {
  private sweptAt: number;
  private closed = false;

  constructor(
    private readonly clock: Clock = systemClock,
    private readonly values: MemoryValues = new Map(),
  ) {
    this.sweptAt = clock.now();
  }

  async get(key: string): Promise<unknown> {
    const text = this.text(key);
    return text === undefined ? undefined : JSON.parse(text);
  }

  async set(key: string, value: unknown, keeping?: Keeping): Promise<void> {
    this.check();
    this.write(key, value, keeping);
  }

  async add(key: string, value: unknown, keeping?: Keeping): Promise<boolean> {
    if (this.text(key) !== undefined) return false;
    this.write(key, value, keeping);
    return true;
  }

  async replace(key: string, expected: unknown, value: unknown, keeping?: Keeping): Promise<boolean> {
    if (this.text(key) !== JSON.stringify(expected)) return false;
    this.write(key, value, keeping);
    return true;
  }

  async delete(key: string): Promise<void> {
    this.check();
    this.values.delete(key);
  }

  async remove(key: string, expected: unknown): Promise<boolean> {
    return this.text(key) === JSON.stringify(expected) && this.values.delete(key);
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    this.check();
    const found: [string, string][] = [];
    for (const key of this.values.keys()) {
      const text = key.startsWith(prefix) ? this.text(key) : undefined;
      if (text !== undefined) found.push([key, text]);
    }
    found.sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    return found.map(([key, text]) => [key, JSON.parse(text)]);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private text(key: string): string | undefined {
    this.check();
    const found = this.values.get(key);
    return found && this.clock.now() < found.expiresAt ? found.text : undefined;
  }

  private write(key: string, value: unknown, { expiresInMs = Number.POSITIVE_INFINITY }: Keeping = {}): void {
    const now = this.clock.now();
    this.values.set(key, { text: JSON.stringify(value), expiresAt: now + expiresInMs });
    if (now - this.sweptAt < SWEEP_EVERY_MS) return;
    this.sweptAt = now;
    for (const [other, { expiresAt }] of this.values) {
      if (expiresAt <= now) this.values.delete(other);
    }
  }

  private check(): void {
    if (this.closed) throw new ContactError('CLOSED', { attempted: 'use the state store', target: 'memory' });
  }
}
