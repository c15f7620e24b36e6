/**
 * The steps that bring a database up to date, in their order; each is carried out once, and none is ever changed
 * after a release.
 */
export const MIGRATIONS: readonly string[] = [
  `create table calls (
    call_id text primary key,
    phone_number varchar(20) not null,
    caller_id varchar(100),
    status varchar(10) not null,
    context varchar(80),
    extension varchar(80),
    priority integer,
    media text,
    timeout integer not null,
    channel varchar(255),
    created_at timestamptz not null,
    dialed_at timestamptz,
    answered_at timestamptz,
    ended_at timestamptz,
    duration numeric generated always as (extract(epoch from ended_at - answered_at)) stored,
    hangup_requested_at timestamptz,
    failure_reason varchar(255),
    attempt_number integer not null check (attempt_number >= 1),
    created_by varchar(64),
    app text not null,
    correlation_id text,
    call_metadata jsonb not null,
    version integer not null
  );
  comment on column calls.timeout is 'for how long it may ring, in milliseconds';
  comment on column calls.duration is 'for how long it was answered, in seconds';
  create index calls_by_time on calls (created_at desc, call_id desc);
  create index calls_by_status on calls (status, created_at desc, call_id desc);
  create index calls_unfinished on calls (app) where ended_at is null;
  create index calls_by_end on calls (ended_at) where ended_at is not null;

  create table call_transitions (
    call_id text not null references calls on delete cascade,
    number integer not null,
    from_status varchar(10),
    to_status varchar(10) not null,
    at timestamptz not null,
    reason varchar(255),
    primary key (call_id, number)
  );

  create table call_claims (
    key varchar(300) primary key,
    fingerprint text not null,
    call_id text not null,
    at timestamptz not null
  );
  create index call_claims_by_time on call_claims (at);

  create table call_users (
    username varchar(64) primary key,
    hashed_password text not null,
    is_active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
  );`,
];
