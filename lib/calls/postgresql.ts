import type { Pool, QueryResult, QueryResultRow } from 'pg';
import { ContactError, describe, type ErrorCode, type ErrorFacts } from '../core/errors';
import { registerSecret } from '../core/redaction';
import { percentDecoded } from '../core/text';
import { MIGRATIONS } from './migrations';

/** Any number that no other program takes for its own lock in the same database. */
const MIGRATION_LOCK = 7_204_516_233;
const CONNECT_WITHIN_MS = 3_000;
const ANSWER_WITHIN_MS = 5_000;

/** Settings of a {@link Database}. */
export interface DatabaseOptions {
  /** `postgresql://user:password@host:5432/database`. */
  url: string;
  /** How many connections are open at most; default 10. */
  connections?: number;
}

/** A PostgreSQL database whose schema is brought up to date before the first query. */
export class Database {
  /** The address without the password. */
  readonly target: string;
  private readonly options: Required<DatabaseOptions>;
  private pool: Pool | undefined;
  private migrated: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(options: DatabaseOptions) {
    this.options = { connections: 10, ...options };
    this.target = withoutCredentials(options.url);
  }

  /** Runs a query; the statement is prepared once for each connection under `name`. */
  async query<Row extends QueryResultRow>(
    attempted: string,
    name: string,
    text: string,
    values: unknown[] = [],
  ): Promise<QueryResult<Row>> {
    if (this.closing !== undefined) throw new ContactError('CLOSED', { attempted, target: this.target });
    try {
      await this.ready();
      return await this.connect().query<Row>({ name, text, values });
    } catch (thrown) {
      throw this.failure(attempted, thrown);
    }
  }

  /** Brings the schema up to date, once; after a failure the next caller tries again. */
  ready(): Promise<void> {
    this.migrated ??= this.migrate().catch((thrown: unknown) => {
      this.migrated = undefined;
      throw this.failure('prepare the database', thrown);
    });
    return this.migrated;
  }

  /** Ends all connections; queries under way are finished first. */
  close(): Promise<void> {
    this.closing ??= this.pool?.end() ?? Promise.resolve();
    return this.closing;
  }

  private connect(): Pool {
    if (this.pool) return this.pool;
    // Only who keeps calls in PostgreSQL loads its client.
    const { Pool: PostgresPool } = require('pg') as typeof import('pg');
    this.pool = new PostgresPool({
      connectionString: this.options.url,
      max: this.options.connections,
      connectionTimeoutMillis: CONNECT_WITHIN_MS,
      query_timeout: ANSWER_WITHIN_MS,
      statement_timeout: ANSWER_WITHIN_MS,
      application_name: 'node-red-contact-center',
      keepAlive: true,
    });
    // A connection that is lost while nobody uses it: the pool makes a new one when it is needed.
    this.pool.on('error', () => {});
    return this.pool;
  }

  private async migrate(): Promise<void> {
    const client = await this.connect().connect();
    let broken: Error | undefined;
    try {
      await client.query('begin');
      // Two processes may start at the same time.
      await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      await client.query('create table if not exists call_schema (version integer primary key, at timestamptz)');
      const { rows } = await client.query<{ version: number }>(
        'select coalesce(max(version), 0) as version from call_schema',
      );
      const done = rows[0]?.version ?? 0;
      if (done > MIGRATIONS.length) throw new Error(`its schema (${done}) is newer than this release of the pack`);
      for (const [index, migration] of MIGRATIONS.entries()) {
        if (index < done) continue;
        await client.query(migration);
        await client.query('insert into call_schema values ($1, now())', [index + 1]);
      }
      await client.query('commit');
    } catch (thrown) {
      broken = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw thrown;
    } finally {
      // Whatever went wrong, this connection may be in the middle of a transaction.
      client.release(broken);
    }
  }

  private failure(attempted: string, thrown: unknown): ContactError {
    if (thrown instanceof ContactError) return thrown;
    const { code, ...facts } = meaningOf(thrown);
    return new ContactError(code, {
      attempted,
      target: this.target,
      answer: describe(thrown),
      cause: thrown,
      ...facts,
    });
  }
}

type Meaning = { code: ErrorCode } & Pick<ErrorFacts, 'reason' | 'advice' | 'retryable'>;

const AWAY: Meaning = {
  code: 'UNREACHABLE',
  reason: 'database_unavailable',
  advice: 'Check that PostgreSQL runs and can be reached; it is tried again by itself.',
};

/** What an error of the client means: PostgreSQL's own carry a SQLSTATE of five characters, those of the network none. */
function meaningOf(thrown: unknown): Meaning {
  const state = String((thrown as { code?: unknown }).code ?? '');
  if (!/^[0-9A-Z]{5}$/.test(state)) return AWAY;
  if (state.startsWith('28') || state === '42501') {
    return {
      code: 'REFUSED',
      reason: 'database_unavailable',
      advice: 'Check the user, the password and their rights.',
    };
  }
  if (state === '3D000') return { code: 'REFUSED', reason: 'database_unavailable', advice: 'Create the database.' };
  if (state === '42P07') {
    const advice = 'The database has tables of another program: use a database or a schema of its own.';
    return { code: 'CONFIGURATION', reason: 'database_unavailable', advice };
  }
  // A text that PostgreSQL cannot hold, such as one with the character U+0000 in it.
  if (state.startsWith('22')) return { code: 'INVALID_INPUT' };
  // Connections, resources, shutdown, and conflicts between transactions pass.
  if (/^(08|53|57|58|40|25|55)/.test(state)) return AWAY;
  return { code: 'INTERNAL' };
}

function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return 'PostgreSQL';
  const parsed = new URL(url);
  registerSecret(percentDecoded(parsed.password));
  return `postgresql://${parsed.host}${parsed.pathname}`;
}
