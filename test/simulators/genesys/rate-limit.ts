import { tooManyRequests } from './answers';
import type { AccessToken } from './oauth';

/** What the calls are counted by: the vendor counts each token by itself. */
export type RateScope = 'token' | 'organization';

/** Counts calls per token in fixed windows, as `client.credentials.token.rate.per.minute` does. */
export class RateLimit {
  private readonly windows = new WeakMap<object, { count: number; endsAt: number }>();
  private readonly ofOrganization = new Map<string, number>();

  /** `allowed` calls per `windowMs`; `Infinity` switches counting and its headers off. */
  constructor(
    public allowed: number,
    private readonly windowMs: number,
    private readonly scope: RateScope = 'token',
  ) {}

  /** Gives one organization a limit of its own. */
  allow(organizationId: string, allowed: number): void {
    this.ofOrganization.set(organizationId, allowed);
  }

  /** The limit of an organization. */
  allowedTo(organizationId: string): number {
    return this.ofOrganization.get(organizationId) ?? this.allowed;
  }

  /** Count one call; gives the headers of the answer, throws the 429 when the window is full. */
  count(token: AccessToken): Record<string, string> {
    const { organization } = token.client;
    const allowed = this.allowedTo(organization.id);
    if (allowed === Number.POSITIVE_INFINITY) return {};
    const counted = this.scope === 'token' ? token : organization;
    const now = Date.now();
    let window = this.windows.get(counted);
    if (!window || window.endsAt <= now) {
      window = { count: 0, endsAt: now + this.windowMs };
      this.windows.set(counted, window);
    }
    const resetSeconds = Math.max(1, Math.ceil((window.endsAt - now) / 1000));
    const headers = (count: number) => ({
      'inin-ratelimit-count': String(count),
      'inin-ratelimit-allowed': String(allowed),
      'inin-ratelimit-reset': String(resetSeconds),
    });
    if (window.count >= allowed) {
      const error = tooManyRequests(resetSeconds);
      Object.assign(error.extras.headers ?? {}, headers(window.count));
      throw error;
    }
    window.count += 1;
    return headers(window.count);
  }
}
