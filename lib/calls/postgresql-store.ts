import type { Call, CallStatus, Transition } from './call';
import { Database, type DatabaseOptions } from './postgresql';
import type { ApiUser, CallPage, CallQuery, CallStore, IdempotencyClaim, Registration } from './store';

/** A {@link CallStore} in PostgreSQL, which any number of processes may share. */
export function openPostgresqlCallStore(options: DatabaseOptions): CallStore {
  return new PostgresqlCallStore(new Database(options));
}

/** A row of the table `calls`. */
interface CallRow {
  call_id: string;
  phone_number: string;
  caller_id: string | null;
  status: CallStatus;
  context: string | null;
  extension: string | null;
  priority: number | null;
  media: string | null;
  timeout: number;
  channel: string | null;
  created_at: Date;
  dialed_at: Date | null;
  answered_at: Date | null;
  ended_at: Date | null;
  hangup_requested_at: Date | null;
  failure_reason: string | null;
  attempt_number: number;
  created_by: string | null;
  app: string;
  correlation_id: string | null;
  call_metadata: Record<string, unknown>;
  version: number;
}

interface UserRow {
  username: string;
  hashed_password: string;
  is_active: boolean;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS =
  'call_id, phone_number, caller_id, status, context, extension, priority, media, timeout, channel, created_at, ' +
  'dialed_at, answered_at, ended_at, hangup_requested_at, failure_reason, attempt_number, created_by, app, ' +
  'correlation_id, call_metadata, version';
const VALUES = placeholders(1, 22);

const INSERT = `with new_call as (
    insert into calls (${COLUMNS}) values (${VALUES}) returning call_id, status, created_at
  ) insert into call_transitions select call_id, 1, null, status, created_at, null from new_call`;

/** The call is kept only if the claim is new, or an old one is taken over; all of it in one round trip. */
const CLAIM_AND_INSERT = `with claim as (
    insert into call_claims (key, fingerprint, call_id, at) values ($23, $24, $1, $11)
    on conflict (key) do update set fingerprint = excluded.fingerprint, call_id = excluded.call_id, at = excluded.at
      where call_claims.at < $25
    returning key
  ), new_call as (
    insert into calls (${COLUMNS}) select ${typedValues()} from claim returning call_id, status, created_at
  ) insert into call_transitions select call_id, 1, null, status, created_at, null from new_call`;

const REPLACE = `with replaced as (
    update calls set status = $2, channel = $3, dialed_at = $4, answered_at = $5, ended_at = $6,
      hangup_requested_at = $7, failure_reason = $8, version = $9
    where call_id = $1 and version = $9 - 1
    returning call_id
  ), steps as (
    insert into call_transitions
    select call_id,
      (select count(*) from call_transitions where call_id = $1) + step.number, step.from_status, step.to_status,
      step.at, step.reason
    from replaced, unnest($10::text[], $11::text[], $12::timestamptz[], $13::text[])
      with ordinality as step (from_status, to_status, at, reason, number)
  ) select call_id from replaced`;

class PostgresqlCallStore implements CallStore {
  readonly kind = 'postgresql';

  constructor(private readonly database: Database) {}

  async check(): Promise<void> {
    await this.database.query('ask the database', 'check', 'select 1');
  }

  async register(call: Call, claim?: IdempotencyClaim): Promise<Registration> {
    const attempted = 'register a call';
    if (!claim) {
      await this.database.query(attempted, 'insert', INSERT, rowOf(call));
      return { kind: 'registered' };
    }
    const { key, fingerprint, notBefore } = claim;
    const values = [...rowOf(call), key, fingerprint, new Date(notBefore)];
    const inserted = await this.database.query(attempted, 'claim', CLAIM_AND_INSERT, values);
    if (inserted.rowCount === 1) return { kind: 'registered' };
    const { rows } = await this.database.query<CallRow & { fingerprint: string }>(
      attempted,
      'claimed',
      'select calls.*, fingerprint from call_claims join calls using (call_id) where key = $1',
      [key],
    );
    const [earlier] = rows;
    return earlier?.fingerprint === fingerprint ? { kind: 'replay', call: callOf(earlier) } : { kind: 'conflict' };
  }

  async get(callId: string): Promise<Call | undefined> {
    const { rows } = await this.database.query<CallRow>(
      'look a call up',
      'get',
      `select ${COLUMNS} from calls where call_id = $1`,
      [callId],
    );
    return rows[0] && callOf(rows[0]);
  }

  async transitions(callId: string): Promise<Transition[]> {
    const { rows } = await this.database.query<Omit<Transition, 'at'> & { at: Date }>(
      'look a call up',
      'transitions',
      `select number, from_status as from, to_status as to, at, reason from call_transitions
       where call_id = $1 order by number`,
      [callId],
    );
    return rows.map((row) => ({ ...row, at: row.at.getTime() }));
  }

  async replace(call: Call, steps: readonly Omit<Transition, 'number'>[]): Promise<boolean> {
    const { callId, status, channel, dialedAt, answeredAt, endedAt, hangupRequestedAt, failureReason, version } = call;
    const { rowCount } = await this.database.query('write a call', 'replace', REPLACE, [
      callId,
      status,
      channel,
      dateOf(dialedAt),
      dateOf(answeredAt),
      dateOf(endedAt),
      dateOf(hangupRequestedAt),
      failureReason,
      version,
      steps.map(({ from }) => from),
      steps.map(({ to }) => to),
      steps.map(({ at }) => new Date(at)),
      steps.map(({ reason }) => reason),
    ]);
    return rowCount === 1;
  }

  async list({ status, offset, limit }: CallQuery): Promise<CallPage> {
    const where = status === undefined ? '' : 'where status = $3';
    const filter = status === undefined ? [] : [status];
    const name = status === undefined ? 'all' : 'by status';
    const page = await this.database.query<CallRow>(
      'list the calls',
      `list ${name}`,
      `select ${COLUMNS} from calls ${where} order by created_at desc, call_id desc offset $1 limit $2`,
      [offset, limit, ...filter],
    );
    const count = await this.database.query<{ total: number }>(
      'list the calls',
      `count ${name}`,
      `select count(*)::integer as total from calls ${where.replace('$3', '$1')}`,
      filter,
    );
    return { calls: page.rows.map(callOf), total: count.rows[0]?.total ?? 0 };
  }

  async unfinished(): Promise<Call[]> {
    const { rows } = await this.database.query<CallRow>(
      'look for open calls',
      'unfinished',
      `select ${COLUMNS} from calls where ended_at is null`,
    );
    return rows.map(callOf);
  }

  async forget(before: number): Promise<number> {
    const time = [new Date(before)];
    await this.database.query('forget old calls', 'forget claims', 'delete from call_claims where at < $1', time);
    const calls = 'delete from calls where ended_at is not null and ended_at < $1';
    const { rowCount } = await this.database.query('forget old calls', 'forget calls', calls, time);
    return rowCount ?? 0;
  }

  async user(name: string): Promise<ApiUser | undefined> {
    const { rows } = await this.database.query<UserRow>(
      'look a user up',
      'user',
      'select * from call_users where username = $1',
      [name],
    );
    return rows[0] && userOf(rows[0]);
  }

  async users(): Promise<ApiUser[]> {
    const { rows } = await this.database.query<UserRow>(
      'list the users',
      'users',
      'select * from call_users order by username collate "C"',
    );
    return rows.map(userOf);
  }

  async saveUser({ name, passwordHash, disabled, createdAt, changedAt }: ApiUser): Promise<void> {
    await this.database.query(
      'save a user',
      'save user',
      `insert into call_users (username, hashed_password, is_active, created_at, updated_at)
       values ($1, $2, $3, $4, $5)
       on conflict (username) do update set hashed_password = excluded.hashed_password,
         is_active = excluded.is_active, created_at = excluded.created_at, updated_at = excluded.updated_at`,
      [name, passwordHash, !disabled, new Date(createdAt), new Date(changedAt)],
    );
  }

  close(): Promise<void> {
    return this.database.close();
  }
}

/** The values of {@link COLUMNS}. */
function rowOf(call: Call): unknown[] {
  return [
    call.callId,
    call.phoneNumber,
    call.callerId,
    call.status,
    call.context,
    call.extension,
    call.priority,
    call.media,
    call.timeoutMs,
    call.channel,
    dateOf(call.createdAt),
    dateOf(call.dialedAt),
    dateOf(call.answeredAt),
    dateOf(call.endedAt),
    dateOf(call.hangupRequestedAt),
    call.failureReason,
    call.attemptNumber,
    call.createdBy,
    call.app,
    call.correlationId,
    JSON.stringify(call.metadata),
    call.version,
  ];
}

function callOf(row: CallRow): Call {
  return {
    callId: row.call_id,
    phoneNumber: row.phone_number,
    status: row.status,
    channel: row.channel,
    context: row.context,
    extension: row.extension,
    priority: row.priority,
    media: row.media,
    callerId: row.caller_id,
    timeoutMs: row.timeout,
    createdAt: row.created_at.getTime(),
    dialedAt: timeOf(row.dialed_at),
    answeredAt: timeOf(row.answered_at),
    endedAt: timeOf(row.ended_at),
    hangupRequestedAt: timeOf(row.hangup_requested_at),
    failureReason: row.failure_reason,
    attemptNumber: row.attempt_number,
    createdBy: row.created_by,
    app: row.app,
    correlationId: row.correlation_id,
    metadata: row.call_metadata,
    version: row.version,
  };
}

function userOf({ username, hashed_password, is_active, created_at, updated_at }: UserRow): ApiUser {
  return {
    name: username,
    passwordHash: hashed_password,
    disabled: !is_active,
    createdAt: created_at.getTime(),
    changedAt: updated_at.getTime(),
  };
}

function dateOf(time: number | null): Date | null {
  return time === null ? null : new Date(time);
}

function timeOf(date: Date | null): number | null {
  return date === null ? null : date.getTime();
}

function placeholders(from: number, to: number): string {
  return Array.from({ length: to - from + 1 }, (_, index) => `$${from + index}`).join(', ');
}

/** In a `select` PostgreSQL does not see which columns the values are for. */
function typedValues(): string {
  const types: Record<string, number[]> = {
    integer: [7, 9, 17, 22],
    timestamptz: [11, 12, 13, 14, 15],
    jsonb: [21],
  };
  const typeOf = (number: number) => Object.keys(types).find((type) => types[type]?.includes(number)) ?? 'text';
  return Array.from({ length: 22 }, (_, index) => `$${index + 1}::${typeOf(index + 1)}`).join(', ');
}
