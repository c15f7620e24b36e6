import { sharedAbort } from '../../core/abort';
import { type Clock, systemClock } from '../../core/clock';
import { ContactError, toContactError } from '../../core/errors';
import type { HttpAnswer, HttpClient } from '../../core/http';
import { type Logger, silentLogger } from '../../core/log';
import { errorTextOf, retryAfterMsOf } from '../answers';
import { organizationWith, type TenantDirectory } from './directory';
import {
  chooseOrganization,
  type OrganizationChoice,
  readTenant,
  type Tenant,
  type TenantOrganization,
  unknownTenant,
} from './tenant';

/** Settings of a {@link ServiceDirectory}. */
export interface ServiceDirectoryOptions {
  http: HttpClient;
  /** Base address, without a slash at the end. */
  url: string;
  /** Sent as bearer; nothing when left out. */
  token?: string | undefined;
  /** How long an answer is used before it is asked for again, in milliseconds; default 300,000. */
  cacheMs?: number;
  clock?: Clock;
  logger?: Logger;
}

interface Known {
  /** The last good answer. */
  tenant: Tenant | undefined;
  /** When it was given, in milliseconds since the epoch. */
  at: number;
  /** Why the last request gave no tenant. */
  error: ContactError | undefined;
  /** Before this time it is not asked for again. */
  askAgainAt: number;
  pending: Promise<void> | undefined;
}

const UNKNOWN_KEPT_MS = 30_000;
const FAILURE_KEPT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const MOST_TENANTS = 10_000;

/**
 * The tenants of a service over HTTP: `GET <url>/api/tenants/<tenantId>/credentials/genesys`. An answer is used for a
 * while, then asked for again while the old one is still in use; when the service is away, or no longer knows what to
 * say, the last good answer stays.
 */
export class ServiceDirectory implements TenantDirectory {
  private readonly options: Required<Omit<ServiceDirectoryOptions, 'token'>> & { token: string | undefined };
  private readonly known = new Map<string, Known>();
  private readonly listeners = new Set<() => void>();
  private readonly stopping = sharedAbort();
  private problemNow: string | undefined;

  constructor({ token, ...options }: ServiceDirectoryOptions) {
    this.options = { cacheMs: 300_000, clock: systemClock, logger: silentLogger, ...options, token };
  }

  get problem(): string | undefined {
    return this.problemNow;
  }

  get size(): number {
    return [...this.known.values()].filter(({ tenant }) => tenant !== undefined).length;
  }

  async find(tenantId: string, choice: OrganizationChoice): Promise<TenantOrganization> {
    const { clock, cacheMs } = this.options;
    const known = this.known.get(tenantId) ?? this.remember(tenantId);
    const now = clock.now();
    const isFresh = known.tenant !== undefined && now - known.at < cacheMs;
    if (!isFresh && now >= known.askAgainAt) {
      known.pending ??= this.ask(tenantId, known).finally(() => {
        known.pending = undefined;
      });
    }
    // Whoever has an answer goes on with it while a new one is fetched.
    if (!known.tenant) await known.pending;
    if (known.tenant) return chooseOrganization(known.tenant, choice);
    throw known.error ?? unknownTenant(tenantId, this.options.url);
  }

  ofIntegration(integrationId: string): TenantOrganization | undefined {
    return organizationWith(
      integrationId,
      [...this.known.values()].flatMap(({ tenant }) => tenant ?? []),
    );
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  close(): void {
    this.stopping.abort();
    this.listeners.clear();
  }

  private remember(tenantId: string): Known {
    const known: Known = { tenant: undefined, at: 0, error: undefined, askAgainAt: 0, pending: undefined };
    this.known.set(tenantId, known);
    const [oldest] = this.known.keys();
    // Names that nobody knows must not fill the memory.
    if (this.known.size > MOST_TENANTS && oldest !== undefined) this.known.delete(oldest);
    return known;
  }

  private async ask(tenantId: string, known: Known): Promise<void> {
    const { clock, logger } = this.options;
    const problemBefore = this.problemNow;
    const before = JSON.stringify([...(known.tenant?.organizations ?? [])]);
    try {
      known.tenant = await this.fetch(tenantId);
      known.at = clock.now();
      known.error = undefined;
      this.problemNow = undefined;
    } catch (thrown) {
      const error = toContactError(thrown, `ask for the tenant ${tenantId}`);
      known.error = error;
      if (error.code === 'CLOSED') return;
      const isUnknown = error.code === 'NOT_FOUND';
      known.askAgainAt = clock.now() + (isUnknown ? UNKNOWN_KEPT_MS : (error.retryAfterMs ?? FAILURE_KEPT_MS));
      if (isUnknown) {
        // The service knows best: a tenant that was removed is gone.
        known.tenant = undefined;
      } else {
        this.problemNow = error.summary;
        if (problemBefore !== error.summary) logger.warn(error.message, { code: error.code });
      }
    }
    const after = JSON.stringify([...(known.tenant?.organizations ?? [])]);
    if (before !== after || problemBefore !== this.problemNow) for (const listener of [...this.listeners]) listener();
  }

  private async fetch(tenantId: string): Promise<Tenant> {
    const { http, url, token } = this.options;
    const attempted = `ask for the tenant ${tenantId}`;
    const answer = await http.send({
      method: 'GET',
      url: `${url}/api/tenants/${encodeURIComponent(tenantId)}/credentials/genesys`,
      headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
      what: attempted,
      timeoutMs: REQUEST_TIMEOUT_MS,
      signal: this.stopping.signal,
    });
    if (answer.status === 404) throw unknownTenant(tenantId, url);
    if (answer.status !== 200) throw failure(attempted, url, answer);
    let body: unknown;
    try {
      body = JSON.parse(answer.text);
    } catch {
      throw new ContactError('PROTOCOL', { attempted, target: url, answer: 'the answer is no JSON' });
    }
    // What a service answers is no place for environment variables.
    return readTenant(tenantId, body, () => undefined);
  }
}

function failure(attempted: string, target: string, answer: HttpAnswer): ContactError {
  const { status } = answer;
  const facts = { attempted, target, status, answer: `HTTP ${status}, ${errorTextOf(answer)}` };
  if (status === 401 || status === 403) {
    return new ContactError('REFUSED', { ...facts, advice: 'Check the token for the tenant service.' });
  }
  if (status === 429) return new ContactError('BUSY', { ...facts, retryAfterMs: retryAfterMsOf(answer) });
  return new ContactError(status >= 500 || status === 408 ? 'BUSY' : 'PROTOCOL', facts);
}
