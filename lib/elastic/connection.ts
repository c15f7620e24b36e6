import type { Client, ClientOptions } from '@elastic/elasticsearch';
import { retryAfterHeaderMs } from '../core/answers';
import { readPem } from '../core/certificate';
import { ContactError, describe, toContactError } from '../core/errors';
import { registerSecret } from '../core/redaction';
import { tracing } from '../core/trace';
import type { Verdict } from '../core/verdicts';
import { judgeBulk, judgeRequest, type Split, unreadable } from './verdicts';

/** How to reach an Elasticsearch. */
export interface ElasticOptions {
  /** One or several addresses; not needed with a cloud id. */
  nodes: readonly string[];
  cloudId?: string | undefined;
  /** `user:password`, `ApiKey …` or `Bearer …`; anything else is taken for a bearer token. */
  auth?: string | undefined;
  /** Path of a PEM file with the authority that signed the server's certificate. */
  certificateFile?: string | undefined;
  /** Whether the server's certificate is checked; default true. */
  verifyCertificate?: boolean;
  /** Default 30 000 ms. */
  requestTimeoutMs?: number;
}

/** What a look at the cluster found. */
export interface ElasticCheck {
  cluster: string;
  version: string;
  ms: number;
}

/** Asks only for what the verdicts need: a full answer costs as much to read as the request to write. */
const BULK_FILTER = 'errors,items.*.status,items.*.error.type,items.*.error.reason';

/** The credentials of {@link ElasticOptions.auth} as the client wants them; also makes them known as secrets. */
export function readAuth(auth: string): NonNullable<ClientOptions['auth']> {
  const [, scheme = '', value = ''] = /^(ApiKey|Bearer)\s+(\S+)$/i.exec(auth) ?? [];
  registerSecret(value || auth);
  if (scheme.toLowerCase() === 'apikey') return { apiKey: value };
  if (scheme) return { bearer: value };
  const colon = auth.indexOf(':');
  if (colon < 0) return { bearer: auth };
  const password = auth.slice(colon + 1);
  registerSecret(password);
  return { username: auth.slice(0, colon), password };
}

/** An Elasticsearch, shared by all nodes that use the same es-connection. The client is loaded when first needed. */
export class ElasticConnection {
  /** For error texts, without credentials. */
  readonly target: string;
  private client: Client | undefined;
  private users = 0;
  private onUnused: (() => void) | undefined;

  constructor(private readonly options: ElasticOptions) {
    this.target = options.nodes.length > 0 ? options.nodes.map(withoutUser).join(', ') : 'Elastic Cloud';
  }

  /** Sends ready NDJSON with `count` documents and says what became of each, or of all. Never throws. */
  async bulk(body: string | Buffer, count: number, signal: AbortSignal): Promise<Verdict | Verdict[] | Split> {
    try {
      const client = await this.open();
      const answer = await client.transport.request(
        { method: 'POST', path: '/_bulk', querystring: { filter_path: BULK_FILTER }, bulkBody: body },
        {
          signal,
          headers: { ...tracing.headers(), 'content-type': 'application/x-ndjson', accept: 'application/json' },
        },
      );
      return judgeBulk(answer, count, this.target);
    } catch (thrown) {
      return this.judgeThrown(thrown, 'index documents');
    }
  }

  /** Asks the cluster who it is. Throws a {@link ContactError} that says what is wrong. */
  async check(): Promise<ElasticCheck> {
    const began = Date.now();
    try {
      const client = await this.open();
      const info = await client.info();
      return { cluster: info.cluster_name, version: info.version.number, ms: Date.now() - began };
    } catch (thrown) {
      if (thrown instanceof ContactError) throw thrown;
      const verdict = this.judgeThrown(thrown, 'ask the cluster who it is');
      throw 'error' in verdict ? verdict.error : thrown;
    }
  }

  /** Keeps the connection open until the function that is returned is called, also when it is closed meanwhile. */
  use(): () => void {
    this.users += 1;
    let using = true;
    return () => {
      if (!using) return;
      using = false;
      this.users -= 1;
      if (this.users === 0) this.onUnused?.();
    };
  }

  /** Closes the connection as soon as nobody uses it: the runtime closes all nodes of a flow at once. */
  async close(): Promise<void> {
    if (this.users > 0) {
      await new Promise<void>((resolve) => {
        this.onUnused = resolve;
      });
    }
    const { client } = this;
    this.client = undefined;
    await client?.close();
  }

  private async open(): Promise<Client> {
    if (this.client) return this.client;
    const { nodes, cloudId, auth, certificateFile, verifyCertificate = true, requestTimeoutMs = 30_000 } = this.options;
    const { Client } = await import('@elastic/elasticsearch');
    try {
      this.client ??= new Client({
        ...(cloudId ? { cloud: { id: cloudId } } : { nodes: [...nodes] }),
        ...(auth ? { auth: readAuth(auth) } : {}),
        tls: {
          ...(certificateFile ? { ca: readPem(certificateFile) } : {}),
          rejectUnauthorized: verifyCertificate,
        },
        requestTimeout: requestTimeoutMs,
        // Where one node is away another may answer. All else is the outbox's business: it waits, and keeps the books.
        maxRetries: Math.max(0, nodes.length - 1),
        enableMetaHeader: false,
        // It reads each answer a second time, in search of names that matter only to those who copy what they have read.
        disablePrototypePoisoningProtection: true,
        // Its errors would copy the request to hide what is secret, a batch of documents byte by byte. They end
        // in judgeThrown, which keeps nothing of it.
        redaction: { type: 'off' },
      });
    } catch (thrown) {
      throw toContactError(thrown, 'connect to Elasticsearch', 'CONFIGURATION');
    }
    return this.client;
  }

  private judgeThrown(thrown: unknown, attempted: string): Verdict | Split {
    if (thrown instanceof ContactError) return { kind: 'refused', error: thrown };
    const { target } = this;
    const { name, meta } = thrown as {
      name?: string;
      meta?: { statusCode?: number; headers?: Record<string, string> };
    };
    const answer = describe(thrown);
    if (name === 'ResponseError') {
      const { statusCode: status = 0, headers = {} } = meta ?? {};
      const retryAfterMs = retryAfterHeaderMs({ headers });
      const facts = {
        attempted,
        status,
        answer: `${status} ${answer}`.slice(0, 500),
        target,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      };
      return judgeRequest(facts, headers['x-elastic-product'] === 'Elasticsearch');
    }
    if (name === 'DeserializationError' || name === 'ProductNotSupportedError') return unreadable(answer, target);
    const code = name === 'TimeoutError' || name === 'RequestAbortedError' ? 'OUTCOME_UNKNOWN' : 'UNREACHABLE';
    const error = new ContactError(code, { attempted, target, answer, cause: thrown });
    return { kind: 'unknown', error };
  }
}

function withoutUser(address: string): string {
  return address.replace(/\/\/[^/@]*@/, '//').replace(/\/$/, '');
}
