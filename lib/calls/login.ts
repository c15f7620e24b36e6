import type { RateLimiterMemory } from 'rate-limiter-flexible';
import { type Clock, systemClock } from '../core/clock';
import { ContactError } from '../core/errors';
import { rateLimiterFlexible } from '../core/libraries';
import { costOf, type Passwords } from './passwords';
import type { ApiUser, CallStore } from './store';

/** Settings of a {@link Login}. */
export interface LoginOptions {
  store: Pick<CallStore, 'user' | 'users' | 'saveUser'>;
  passwords: Passwords;
  /** So many wrong passwords lock a user out; default 5. */
  userFailures?: number;
  /** So many wrong passwords lock an address out; default 20. */
  addressFailures?: number;
  /** For how long failures count and a lock lasts; default 900,000 ms. */
  lockMs?: number;
  clock?: Clock;
}

/** Names that users may have. */
export const USER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/**
 * Checks names and passwords. Who fails too often, by name or by address, is locked out for a while, whether or not
 * such a user exists. Attempts are looked at one after the other, so that many at once do not get past the lock.
 */
export class Login {
  private readonly options: Required<LoginOptions>;
  private readonly byUser: RateLimiterMemory;
  private readonly byAddress: RateLimiterMemory;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  constructor(options: LoginOptions) {
    this.options = { userFailures: 5, addressFailures: 20, lockMs: 900_000, clock: systemClock, ...options };
    const { userFailures, addressFailures, lockMs } = this.options;
    const { RateLimiterMemory } = rateLimiterFlexible();
    this.byUser = new RateLimiterMemory({ points: userFailures, duration: lockMs / 1_000 });
    this.byAddress = new RateLimiterMemory({ points: addressFailures, duration: lockMs / 1_000 });
  }

  /**
   * Resolves when the password is right. Rejects with `REFUSED`, in the same words and after the same time for a wrong
   * password and an unknown or disabled user, and with `BUSY` while the name or the address is locked out.
   */
  async enter(name: string, password: string, address: string): Promise<void> {
    if (this.waiting >= MOST_WAITING) {
      const facts = { attempted: 'log in', answer: 'too many others try at this moment', retryAfterMs: 5_000 };
      throw new ContactError('BUSY', { ...facts, reason: 'too_many_requests' });
    }
    this.waiting += 1;
    const turn = this.last.then(() => this.attempt(name, password, address));
    this.last = turn.catch(() => {});
    try {
      await turn;
    } finally {
      this.waiting -= 1;
    }
  }

  private async attempt(name: string, password: string, address: string): Promise<void> {
    const key = name.slice(0, 100);
    await this.mustNotBeLocked(key, address);
    const user = USER_NAME.test(name) ? await this.options.store.user(name) : undefined;
    const right = await this.options.passwords.check(password, user?.passwordHash, await this.usualCost());
    if (right && user && !user.disabled) {
      await this.byUser.delete(key);
      return;
    }
    await this.byUser.penalty(key);
    await this.byAddress.penalty(address);
    throw new ContactError('REFUSED', {
      attempted: 'log in',
      answer: 'the name or the password is wrong',
      reason: 'invalid_credentials',
      advice: 'Check both.',
      status: 401,
      retryable: false,
    });
  }

  private async mustNotBeLocked(key: string, address: string): Promise<void> {
    const { userFailures, addressFailures } = this.options;
    const waits = [
      [await this.byUser.get(key), userFailures] as const,
      [await this.byAddress.get(address), addressFailures] as const,
    ].map(([count, most]) => (count !== null && count.consumedPoints >= most ? count.msBeforeNext : 0));
    const retryAfterMs = Math.max(...waits);
    if (retryAfterMs === 0) return;
    const facts = { attempted: 'log in', answer: 'too many wrong passwords', reason: 'locked_out', retryAfterMs };
    throw new ContactError('BUSY', { ...facts, advice: 'Try again later.' });
  }

  /** An unknown user must take as long as a known one: as long as the users there are. */
  private async usualCost(): Promise<number | undefined> {
    const costs = (await this.options.store.users()).flatMap(({ passwordHash }) => costOf(passwordHash) ?? []);
    return costs.length > 0 ? Math.max(...costs) : undefined;
  }
}

const MOST_WAITING = 100;

/** Adds a user unless there is one of this name already, as at the first start of a service. Answers whether it did. */
export async function addFirstUser(
  store: Pick<CallStore, 'user' | 'saveUser'>,
  name: string,
  passwordHash: string,
  clock: Clock = systemClock,
): Promise<boolean> {
  const attempted = 'add the first user';
  if (!USER_NAME.test(name)) {
    throw new ContactError('CONFIGURATION', {
      attempted,
      answer: 'the name has other characters than A-Z a-z 0-9 . _ @ -',
    });
  }
  if (costOf(passwordHash) === undefined) {
    const advice = 'Make it with: npx contact-center user hash';
    throw new ContactError('CONFIGURATION', { attempted, answer: 'its password hash is not one of bcrypt', advice });
  }
  if (await store.user(name)) return false;
  const now = clock.now();
  const user: ApiUser = { name, passwordHash, disabled: false, createdAt: now, changedAt: now };
  await store.saveUser(user);
  return true;
}
