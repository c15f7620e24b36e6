import { ContactError } from '../core/errors';
import type { StateStore } from './store';

/** A {@link StateStore} that lives and ends with its process. */
export class MemoryStore implements StateStore {
  /** As JSON, so that nobody changes a stored value through a reference. */
  private readonly values = new Map<string, string>();
  private closed = false;

  async get(key: string): Promise<unknown> {
    this.check();
    const value = this.values.get(key);
    return value === undefined ? undefined : JSON.parse(value);
  }

  async set(key: string, value: unknown): Promise<void> {
    this.check();
    this.values.set(key, JSON.stringify(value));
  }

  async delete(key: string): Promise<void> {
    this.check();
    this.values.delete(key);
  }

  async entries(prefix: string): Promise<[string, unknown][]> {
    this.check();
    const found = [...this.values].filter(([key]) => key.startsWith(prefix));
    found.sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    return found.map(([key, value]) => [key, JSON.parse(value)]);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private check(): void {
    if (this.closed) throw new ContactError('CLOSED', { attempted: 'use the state store', target: 'memory' });
  }
}
