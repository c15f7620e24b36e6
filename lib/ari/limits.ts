import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { ContactError } from '../core/errors';
import { rateLimiterFlexible } from '../core/libraries';

/** How many calls are allowed; 0 is no limit. */
export interface CallLimitOptions {
  perSecond: number;
  /** To one number within an hour. */
  perNumberHour: number;
  /** By one user within an hour. */
  perUserHour: number;
}

const HOUR_S = 3_600;

/** Refuses calls beyond what is allowed in a second, to a number and by a user. */
export class CallLimits {
  private readonly second: RateLimiterAbstract | undefined;
  private readonly number: RateLimiterAbstract | undefined;
  private readonly user: RateLimiterAbstract | undefined;

  constructor({ perSecond, perNumberHour, perUserHour }: CallLimitOptions) {
    this.second = limiter(perSecond, 1);
    this.number = limiter(perNumberHour, HOUR_S);
    this.user = limiter(perUserHour, HOUR_S);
  }

  /** Counts a call. Rejects with `BUSY` and the time to wait when it is one too many, which then does not count. */
  async take(number: string, user: string | undefined): Promise<void> {
    const taken: [RateLimiterAbstract, string][] = [];
    const kinds: [RateLimiterAbstract | undefined, string, string, string][] = [
      [this.user, user ?? '', 'user_limit', 'this user has made too many calls within an hour'],
      [this.number, number, 'number_limit', 'this number was called too often within an hour'],
      [this.second, 'all', 'rate_limit', 'too many calls within a second'],
    ];
    for (const [limit, key, reason, answer] of kinds) {
      if (!limit || key === '') continue;
      try {
        await limit.consume(key);
        taken.push([limit, key]);
      } catch (rejection) {
        if (!(rejection instanceof rateLimiterFlexible().RateLimiterRes)) throw rejection;
        for (const [each, of] of taken) await each.reward(of);
        // The attempt itself has been counted.
        await limit.reward(key);
        const retryAfterMs = Math.max(1, rejection.msBeforeNext);
        throw new ContactError('BUSY', { attempted: 'make a call', answer, reason, retryAfterMs, status: 429 });
      }
    }
  }

  /** Takes back a call that was counted and not made. */
  async giveBack(number: string, user: string | undefined): Promise<void> {
    await this.number?.reward(number);
    if (user !== undefined) await this.user?.reward(user);
  }
}

function limiter(points: number, duration: number): RateLimiterAbstract | undefined {
  return points > 0 ? new (rateLimiterFlexible().RateLimiterMemory)({ points, duration }) : undefined;
}
