import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { isBalanced } from '../../lib/core/books';
import { type BusinessEvent, businessEvents } from '../../lib/core/business-events';
import { type DeliveryOutcome, DeliverySource } from '../../lib/core/deliveries';
import { monitored } from '../../lib/monitor/registry';
import { registerNode } from '../../lib/red/register';
import { DEFAULT_FIELDS } from '../../lib/zoho/case-settings';
import contactStore from '../../nodes/contact-store';
import zohoCaseOut from '../../nodes/zoho-case-out';
import zohoOauth from '../../nodes/zoho-oauth';
import { defaultZoho, startZohoSimulator, type ZohoSimulator } from '../simulators/zoho';
import { withoutVariables } from './environment';
import { type FlowNode, type NodeModule, type Runtime, startRuntime, until } from './helper';

/** Sends a message into the flow under test. */
const source: NodeModule = (RED) => registerNode(RED, 'test-source', () => {});
const VARIABLES = ['ZOHO_ATTACH_TRANSCRIPT_AS_NOTE', 'ENABLE_NOTES', 'ZOHO_CASE_STATUS', 'CASE_SUBJECT_PREFIX'];

const conversation = (id: string, text = 'Where is my order?') => ({
  id,
  name: 'A question',
  botId: 'bot',
  createdAt: '2026-01-15T10:00:00.000Z',
  messages: [],
  metrics: { messageCount: 1, userMessages: 1, assistantMessages: 0, totalCharacters: 18, averageMessageLength: 18 },
  transcript: `User [2026-01-15 10:00:00]: ${text}`,
});

type Made = { payload: { caseId: string; action: string }; conversation: Record<string, unknown>; kept?: string };
type Failed = { payload: unknown; error: { code: string; attempts: number; message: string } };

describe('zoho-case-out', () => {
  let runtime: Runtime;
  let zoho: ZohoSimulator;
  let userDir: string;
  let restore: () => void;
  let cases: Made[];
  let failures: Failed[];
  let done: unknown[];

  beforeEach(async () => {
    restore = withoutVariables(VARIABLES);
    userDir = mkdtempSync(join(tmpdir(), 'zoho-case-'));
    zoho = await startZohoSimulator({ scopes: [...defaultZoho.scopes, 'ZohoCRM.coql.READ'] });
  });
  afterEach(async () => {
    await runtime.stop();
    await zoho.close();
    rmSync(userDir, { recursive: true, force: true });
    restore();
  });

  const flow = (parts: Record<string, unknown> = {}): FlowNode[] => [
    { id: 'tab', type: 'tab', label: 'Test' },
    { id: 'store', type: 'contact-store', kind: 'embedded' },
    { id: 'zoho', type: 'zoho-oauth', accountsUrl: zoho.url, apiVersion: 'v8', timeoutSeconds: 1, store: 'store' },
    { id: 'source', type: 'test-source', z: 'tab', wires: [['case']] },
    {
      id: 'case',
      type: 'zoho-case-out',
      z: 'tab',
      account: 'zoho',
      store: 'store',
      subjectPrefix: '${CASE_SUBJECT_PREFIX}',
      caseStatus: '${ZOHO_CASE_STATUS}',
      note: '${ZOHO_ATTACH_TRANSCRIPT_AS_NOTE}',
      fields: DEFAULT_FIELDS,
      timeZone: 'UTC',
      wires: [['cases'], ['failures']],
      ...parts,
    },
    { id: 'cases', type: 'helper', z: 'tab', wires: [] },
    { id: 'failures', type: 'helper', z: 'tab', wires: [] },
    { id: 'complete', type: 'complete', z: 'tab', scope: ['case'], uncaught: false, wires: [['done']] },
    { id: 'done', type: 'helper', z: 'tab', wires: [] },
  ];
  const { clientId, clientSecret, refreshToken } = defaultZoho;
  const credentials = { zoho: { clientId, clientSecret, refreshToken } };
  const start = async (parts: Record<string, unknown> = {}) => {
    const modules = [source, contactStore, zohoOauth, zohoCaseOut];
    runtime = await startRuntime(modules, flow(parts), { settings: { userDir }, credentials });
    listen();
  };
  const listen = () => {
    cases = runtime.received('cases') as never;
    failures = runtime.received('failures') as never;
    done = runtime.received('done');
  };
  const send = (message: Record<string, unknown>) => runtime.node('source').send(message);
  const report = () =>
    monitored
      .all()
      .find(({ id }) => id === 'case')!
      .report();
  const deliveries = () => {
    const outcomes: DeliveryOutcome[] = [];
    const given = new DeliverySource<string>({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
    return { outcomes, open: () => given.open('token') };
  };

  it('makes a Case, tells which, and settles the delivery', async () => {
    await start();
    const { outcomes, open } = deliveries();
    send({ payload: conversation('abc'), delivery: open(), kept: 'yes' });
    await until(() => done.length === 1);
    assert.deepEqual(outcomes, [{ kind: 'acknowledge' }]);
    const [made] = cases;
    assert.equal(made!.payload.caseId, zoho.cases[0]!.id);
    assert.deepEqual([made!.payload.action, made!.kept], ['created', 'yes']);
    assert.deepEqual([made!.conversation['id'], made!.conversation['transcript']], ['abc', undefined]);
    assert.equal(zoho.cases[0]!.fields['Subject'], 'Cody Chat - 2026-01-15 10:00');
    assert.equal(zoho.cases[0]!.fields['Status'], 'Closed');
    assert.deepEqual(report().groups!['conversations'], { cases_created: 1 });
    const value = (name: string) => report().metrics!.find((metric) => metric.name === name)!.value;
    assert.deepEqual(
      ['cases_created_total', 'conversations_processed_total', 'conversation_to_case_ratio'].map(value),
      [1, 1, 100],
    );
  });

  it('tells the business of the Case, of the calls it took, and of the token', async () => {
    const told: BusinessEvent[] = [];
    const stop = businessEvents.listen((event) => told.push(event));
    await start();
    send({ payload: conversation('abc') });
    await until(() => told.some(({ kind }) => kind === 'conversation'));
    stop();
    const { tookMs, ...made } = told.find((event) => event.kind === 'conversation')!;
    assert.ok(tookMs >= 0);
    assert.deepEqual(made, {
      kind: 'conversation',
      conversationId: 'abc',
      caseId: zoho.cases[0]!.id,
      action: 'created',
      messages: 1,
      characters: 18,
    });
    assert.deepEqual(
      told.filter((event) => event.kind === 'token-refresh').map(({ isSuccess }) => isSuccess),
      [true],
    );
    const calls = told.filter((event) => event.kind === 'api-call');
    assert.ok(calls.some(({ what, bytes }) => what === 'create a Case' && bytes > 0));
    assert.deepEqual([...new Set(calls.map(({ api, isSuccess }) => `${api} ${isSuccess}`))], ['zoho true']);
  });

  it('takes what the environment says, by either of two names', async () => {
    process.env['ENABLE_NOTES'] = 'true';
    process.env['ZOHO_CASE_STATUS'] = 'New';
    process.env['CASE_SUBJECT_PREFIX'] = 'Cody Conversation: ';
    await start();
    send({ payload: conversation('abc') });
    await until(() => done.length === 1);
    assert.equal(zoho.notes.length, 1);
    assert.equal(zoho.cases[0]!.fields['Status'], 'New');
    assert.equal(zoho.cases[0]!.fields['Subject'], 'Cody Conversation: 2026-01-15 10:00');
  });

  it('maps the fields that were chosen', async () => {
    await start({
      fields: [
        { source: 'id', field: 'Cody_Conversation_ID' },
        { source: 'name', field: 'CF_Message_Count' },
      ],
    });
    send({ payload: conversation('abc') });
    await until(() => done.length === 1);
    assert.equal(zoho.cases[0]!.fields['CF_Message_Count'], 'A question');
    assert.equal(zoho.cases[0]!.fields['CF_User_Messages'], undefined);
  });

  it('changes the same Case when the conversation has grown, and says so', async () => {
    await start();
    for (const text of ['one', 'two', 'two']) {
      const before = done.length;
      send({ payload: conversation('abc', text) });
      await until(() => done.length > before);
    }
    assert.deepEqual(
      cases.map(({ payload }) => payload.action),
      ['created', 'updated', 'unchanged'],
    );
    assert.equal(zoho.cases.length, 1);
    assert.ok(isBalanced(report().books!));
    assert.equal(report().books!.duplicate, 1);
  });

  it('sends what Zoho rejects out of output 2, and dead-letters its delivery', async () => {
    await start({ caseStatus: 'x'.repeat(200) });
    const { outcomes, open } = deliveries();
    send({ payload: conversation('abc'), delivery: open() });
    await until(() => failures.length === 1);
    assert.deepEqual([failures[0]!.error.code, failures[0]!.error.attempts], ['REJECTED', 1]);
    assert.match(failures[0]!.error.message, /INVALID_DATA.*Status, at most 120 characters/);
    await until(() => outcomes.length === 1);
    assert.equal(outcomes[0]!.kind, 'dead-letter');
  });

  it('sends what is no conversation out of output 2, without a call', async () => {
    await start();
    for (const payload of [undefined, 'text', {}, { id: 'abc' }, { id: '', transcript: 'x' }]) send({ payload });
    await until(() => failures.length === 5);
    assert.ok(failures.every(({ error }) => error.code === 'INVALID_INPUT'));
    assert.equal(zoho.api.total, 0);
    assert.ok(isBalanced(report().books!));
  });

  it('keeps everything while rights are refused, says so in red, and goes on by itself', async () => {
    await start();
    const answer = { status: 403, body: { code: 'NO_PERMISSION', status: 'error', message: 'denied', details: {} } };
    const fault = zoho.fail({ method: 'POST', path: /v8\/Cases$/, times: Number.POSITIVE_INFINITY, answer });
    send({ payload: conversation('abc') });
    await until(() => report().state === 'refused');
    assert.match(report().reason!, /right to do this/);
    fault.remove();
    await until(() => zoho.cases.length === 1);
  });

  it('does not make more of a conversation that comes again while it waits', async () => {
    await start();
    const fault = zoho.fail({ path: /crm/, times: Number.POSITIVE_INFINITY, answer: { status: 503 } });
    const { outcomes, open } = deliveries();
    send({ payload: conversation('abc'), delivery: open() });
    await until(() => report().state === 'degraded');
    for (let time = 0; time < 5; time++) send({ payload: conversation('abc'), delivery: open() });
    await until(() => report().books!.received === 6);
    assert.ok(isBalanced(report().books!));
    assert.equal(report().books!.queued + report().books!.inFlight, 1);
    fault.remove();
    await until(() => outcomes.length === 6);
    assert.deepEqual([zoho.cases.length, zoho.cases[0]!.updates, cases.length], [1, 0, 1]);
  });

  it('hands what waits to the next deploy: nothing is lost, nothing doubled', async () => {
    await start();
    const fault = zoho.fail({ path: /crm/, times: Number.POSITIVE_INFINITY, answer: { status: 503 } });
    const { outcomes, open } = deliveries();
    for (let number = 0; number < 20; number++) send({ payload: conversation(`c${number}`), delivery: open() });
    await until(() => report().books!.received === 20);
    await runtime.deploy(flow({ name: 'renamed' }), 'full', credentials);
    listen();
    fault.remove();
    await until(() => outcomes.length === 20, 'all of them', 15_000);
    assert.equal(zoho.cases.length, 20);
    assert.ok(outcomes.every(({ kind }) => kind === 'acknowledge'));
    assert.ok(isBalanced(report().books!));
  });

  it('says in one sentence what cannot be used, and turns messages away', async () => {
    await start({ fields: [{ source: 'name', field: 'Name' }] });
    assert.equal(report().state, 'not-configured');
    assert.match(report().reason!, /fields/);
    send({ payload: conversation('abc') });
    await until(() => failures.length === 1);
    assert.equal(failures[0]!.error.code, 'CONFIGURATION');
  });

  it('offers the fields of Cases', async () => {
    await start();
    const ask = async (account: string) => {
      const response = await fetch(`${runtime.adminUrl}/contact-center/zoho-case-out/fields?account=${account}`);
      return (await response.json()) as { code?: string; fields?: { apiName: string; unique: boolean }[] };
    };
    const { fields } = await ask('zoho');
    assert.equal(fields!.find(({ apiName }) => apiName === 'Cody_Conversation_ID')!.unique, true);
    assert.equal((await ask('nowhere')).code, 'CONFIGURATION');
  });
});
