import { tooManyRequests } from './answers';

/** Counts calls per token in fixed windows, as `client.credentials.token.rate.per.minute` does. */
export class RateLimit {
  private readonly windows = new WeakMap<object, { count: number; endsAt: number }>();

  /** `allowed` calls per `windowMs`; `Infinity` switches counting and its headers off. */
  constructor(
    public allowed: number,
    private readonly windowMs: number,
  ) {}

  /** Count one call; gives the headers of the answer, throws the 429 when the window is full. */
  count(token: object): Record<string, string> {
    if (this.allowed === Number.POSITIVE_INFINITY) return {};
    const now = Date.now();
    let window = this.windows.get(token);
    if (!window || window.endsAt <= now) {
      window = { count: 0, endsAt: now + this.windowMs };
      this.windows.set(token, window);
    }
    const resetSeconds = Math.max(1, Math.ceil((window.endsAt - now) / 1000));
    const headers = () => ({
      'inin-ratelimit-count': String(window.count),
      'inin-ratelimit-allowed': String(this.allowed),
      'inin-ratelimit-reset': String(resetSeconds),
    });
    if (window.count >= this.allowed) {
      const error = tooManyRequests(resetSeconds);
      Object.assign(error.extras.headers ?? {}, headers());
      throw error;
    }
    window.count += 1;
    return headers();
  }
}
