import { type Answer, errorAnswer, genericError, tooManyRequests } from './answers';

/**
 * What happens to a request that a rule takes:
 * - `{status, headers?, body?}`: this answer instead of the real one; without a body the vendor's usual one for the status.
 * - `{delayMs}`: the real answer, later.
 * - `reset`: the connection is reset before the request takes effect.
 * - `reset-after`: the request takes effect, then the connection is reset without an answer.
 * - `cut-body`: the request takes effect, the answer breaks off in the middle of its body.
 * - `not-json`: status 200 with an HTML page; the request takes no effect.
 * - `hang`: never answered.
 */
export type FaultAnswer =
  | { status: number; headers?: Record<string, string>; body?: unknown }
  | { delayMs: number }
  | 'reset'
  | 'reset-after'
  | 'cut-body'
  | 'not-json'
  | 'hang';

/** A rule: which requests, how many of them, and what happens to them. The path is matched without the query. */
export interface FaultRule {
  /** HTTP method, or `UPGRADE` for the opening of a socket; any when left out. */
  method?: string;
  path: RegExp;
  /** How many requests it takes; default 1, `Infinity` for all. */
  times?: number;
  /** How many matching requests pass before it begins; default 0. */
  skip?: number;
  /** Which share of the matching requests it takes, by chance; default 1, all of them. */
  share?: number;
  answer: FaultAnswer;
}

/** A rule at work. */
export interface Fault {
  readonly rule: FaultRule;
  /** Requests taken so far. */
  readonly hits: number;
  remove(): void;
}

/** An HTML page as a gateway in front of the API would send it. */
export const gatewayPage = '<html><head><title>Gateway</title></head><body><h1>Bad Gateway</h1></body></html>';

/** Ordered list of rules; the first that matches takes the request. */
export class Faults {
  private rules: { rule: FaultRule; hits: number; seen: number; remove(): void }[] = [];

  /** Add a rule. It ends by itself after `times` requests, or with `remove()`. */
  fail(rule: FaultRule): Fault {
    const fault = {
      rule,
      hits: 0,
      seen: 0,
      remove: () => {
        this.rules = this.rules.filter((other) => other !== fault);
      },
    };
    this.rules.push(fault);
    return fault;
  }

  /** Remove every rule. */
  clear(): void {
    this.rules = [];
  }

  /** The rules at work, oldest first. */
  get active(): readonly Fault[] {
    return this.rules;
  }

  /** What shall happen to this request; counts it on the rule. */
  take(method: string, path: string): FaultAnswer | undefined {
    for (const fault of this.rules) {
      const { rule } = fault;
      if ((rule.method ?? method).toUpperCase() !== method || path.search(rule.path) < 0) continue;
      fault.seen += 1;
      if (fault.seen <= (rule.skip ?? 0)) continue;
      if (rule.share !== undefined && Math.random() >= rule.share) continue;
      fault.hits += 1;
      if (fault.hits >= (rule.times ?? 1)) fault.remove();
      return rule.answer;
    }
    return undefined;
  }
}

/** The whole answer for a rule that only gave a status: gateway errors are HTML, token errors have the OAuth form. */
export function faultAnswer(
  fault: { status: number; headers?: Record<string, string>; body?: unknown },
  path: string,
  contextId: string,
): Answer {
  const { status, headers = {} } = fault;
  if (fault.body !== undefined) return { status, headers, body: fault.body };
  if (status < 300) return { status, headers };
  if (status === 502 || status === 504) {
    return { status, headers: { 'Content-Type': 'text/html', ...headers }, body: gatewayPage };
  }
  if (path === '/oauth/token' && status < 429) return oauthError(status, 'invalid_client', 'client not found', headers);
  if (status === 429) {
    const given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'retry-after')?.[1];
    const answer = errorAnswer(tooManyRequests(Number(given ?? 1)), contextId);
    return { ...answer, headers: { ...answer.headers, ...headers } };
  }
  return errorAnswer(genericError(status, headers), contextId);
}

/** The error form of the token endpoint, which differs from the platform's. */
export function oauthError(
  status: number,
  error: string,
  description: string,
  headers: Record<string, string> = {},
): Answer {
  return { status, headers, body: { error, description, error_description: description } };
}
