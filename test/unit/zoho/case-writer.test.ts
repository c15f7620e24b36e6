import assert from 'node:assert/strict';
import type { MemoryValues } from '../../../lib/store/memory';
import {
  caseFields,
  defaultZoho,
  startZohoSimulator,
  type ZohoOptions,
  type ZohoSimulator,
} from '../../simulators/zoho';
import { until } from '../until';
import { CaseProcess, conversation, type ProcessOptions } from './harness';

const COQL = { scopes: [...defaultZoho.scopes, 'ZohoCRM.coql.READ'] };
const NOT_UNIQUE = { caseFields: caseFields({ unique: false }) };

describe('case writer', () => {
  let zoho: ZohoSimulator;
  let processes: CaseProcess[];

  const start = async (options: ZohoOptions = {}) => {
    zoho = await startZohoSimulator({ ...COQL, ...options });
  };
  const process = (options: ProcessOptions = {}) => {
    const created = new CaseProcess(zoho, options);
    processes.push(created);
    return created;
  };

  beforeEach(() => {
    processes = [];
  });
  afterEach(async () => {
    for (const each of processes) each.close();
    await zoho.close();
  });

  it('makes a Case with the fields of the original service', async () => {
    await start();
    const { verdict, result } = await process().write(conversation('abc', 3));
    assert.deepEqual([verdict.kind, result?.action], ['delivered', 'created']);
    const [made] = zoho.cases;
    const { Description, Contact_Name, ...rest } = made!.fields;
    assert.match(String(Description), /^User \[2026-01-15 10:00:00\]: Where is my order\? 0\n\nAssistant \[/);
    assert.deepEqual(Contact_Name, { id: zoho.contacts[0]!.id });
    assert.equal(zoho.contacts[0]!.fields['Last_Name'], 'Cody Chat');
    assert.deepEqual(rest, {
      Subject: 'Cody Chat - 2026-01-15 10:00',
      Status: 'Closed',
      Case_Origin: 'Web',
      Cody_Conversation_ID: 'abc',
      CF_Message_Count: '3',
      CF_User_Messages: '2',
      CF_Assistant_Messages: '1',
      CF_Total_Characters: '40',
      CF_Average_Message_Length: '20',
    });
  });

  it('costs two calls for a new Case with a known contact, and none for one that is done', async () => {
    await start();
    const one = process();
    await one.write(conversation('first'));
    const before = zoho.calls;
    await one.write(conversation('second'));
    assert.equal(zoho.calls - before, 2);
    const outcome = await one.write(conversation('second'));
    assert.deepEqual([outcome.verdict.kind, outcome.result?.action], ['duplicate', 'unchanged']);
    assert.equal(zoho.calls - before, 2);
  });

  it('lets growth change the same Case, and leaves alone what people work with', async () => {
    await start();
    const one = process();
    await one.write(conversation('abc', 2));
    zoho.cases[0]!.fields['Status'] = 'Escalated';
    const { result } = await one.write(conversation('abc', 5));
    assert.equal(result?.action, 'updated');
    assert.equal(zoho.cases.length, 1);
    assert.equal(zoho.cases[0]!.fields['CF_Message_Count'], '5');
    assert.equal(zoho.cases[0]!.fields['Status'], 'Escalated');
  });

  it('writes numbers into number fields and texts into text fields', async () => {
    const fields = caseFields().map((field) =>
      field.apiName === 'CF_Message_Count' ? { ...field, dataType: 'integer' as const } : field,
    );
    await start({ caseFields: fields });
    await process().write(conversation('abc', 3));
    assert.equal(zoho.cases[0]!.fields['CF_Message_Count'], 3);
    assert.equal(zoho.cases[0]!.fields['CF_User_Messages'], '2');
  });

  it('learns types and lengths from errors when the token may not see the fields', async () => {
    const fields = caseFields().map((field) =>
      field.apiName === 'CF_Message_Count' ? { ...field, dataType: 'integer' as const } : field,
    );
    await start({ caseFields: fields, scopes: ['ZohoCRM.modules.ALL', 'ZohoCRM.coql.READ'] });
    zoho.modules.get('Cases')!.field('Description')!.length = 1_000;
    const { verdict } = await process().write(conversation('abc', 100));
    assert.equal(verdict.kind, 'delivered');
    assert.equal(zoho.cases[0]!.fields['CF_Message_Count'], 100);
    assert.ok(String(zoho.cases[0]!.fields['Description']).length <= 1_000);
    assert.equal(zoho.attachments.length, 1);
  });

  it('cuts a transcript that is too long between two messages, and attaches it whole', async () => {
    await start();
    const long = conversation('abc', 60, 'x'.repeat(1_000));
    const { result } = await process().write(long);
    const text = String(zoho.cases[0]!.fields['Description']);
    assert.ok(text.length <= 32_000 && text.length > 30_000);
    const [kept = '', word = ''] = text.split('\n\n[Cut here: ');
    assert.ok(long.transcript.startsWith(`${kept}\n\nUser [`) || long.transcript.startsWith(`${kept}\n\nAssistant [`));
    assert.match(word, /is attached as transcript-[0-9a-f]{8}\.txt\.\]$/);
    assert.equal(zoho.attachments[0]!.content, long.transcript);
    assert.deepEqual([result?.attachments, zoho.notes.length], [1, 0]);
  });

  it('puts it into Notes where that is wanted, in parts that are each short enough', async () => {
    await start();
    const long = conversation('abc', 100, 'y'.repeat(1_000));
    await process({ settings: { longTranscript: 'note' } }).write(long);
    assert.equal(zoho.attachments.length, 0);
    assert.equal(zoho.notes.length, 4);
    assert.equal(zoho.notes.map(({ content }) => content).join('\n\n'), long.transcript);
    assert.match(zoho.notes[1]!.title, /^Conversation Transcript - Cody Chat - .* \[[0-9a-f]{8}\] \(2\/4\)$/);
  });

  it('adds one Note for each content', async () => {
    await start();
    const values: MemoryValues = new Map();
    for (const messages of [2, 2, 4, 4, 4]) {
      await process({ settings: { note: true }, values }).write(conversation('abc', messages));
    }
    assert.equal(zoho.notes.length, 2);
    assert.equal(new Set(zoho.notes.map(({ content }) => content)).size, 2);
  });

  it('adds no second Case and no second Note when the state store was lost', async () => {
    for (const options of [{}, NOT_UNIQUE]) {
      await start(options);
      for (let time = 0; time < 3; time++) {
        await process({ settings: { note: true } }).write(conversation('abc'));
        await process({ settings: { note: true } }).write(conversation('long', 60, 'x'.repeat(1_000)));
      }
      assert.deepEqual([zoho.cases.length, zoho.notes.length, zoho.attachments.length], [2, 2, 1]);
      if (options !== NOT_UNIQUE) await zoho.close();
    }
  });

  it('finds the Case of another without COQL and without a unique field, while the search lags behind', async () => {
    await start({ ...NOT_UNIQUE, scopes: [...defaultZoho.scopes] });
    await process().write(conversation('abc'));
    const { result } = await process().write(conversation('abc'));
    assert.equal(result?.action, 'updated');
    assert.equal(zoho.cases.length, 1);
  });

  it('is not deceived by a search that takes "contains" for "equals"', async () => {
    await start({ scopes: [...defaultZoho.scopes], indexDelayMs: 0 });
    await process().write(conversation('abcdef'));
    await process().write(conversation('abc'));
    assert.equal(zoho.cases.length, 2);
    assert.equal(zoho.contacts.length, 1);
  });

  it('uses the id that DUPLICATE_DATA names, whatever the status it comes with', async () => {
    for (const failureStatus of [200, 202, 400] as const) {
      await start({ failureStatus });
      await process().write(conversation('abc'));
      const { result } = await process({ settings: { duplicateCheck: false } }).write(conversation('abc', 4));
      assert.deepEqual([result?.action, result?.caseId], ['updated', zoho.cases[0]!.id]);
      assert.equal(zoho.cases.length, 1);
      if (failureStatus !== 400) await zoho.close();
    }
  });

  for (const [name, options] of Object.entries({ 'with a unique field': {}, 'without a unique field': NOT_UNIQUE })) {
    describe(name, () => {
      for (const answer of ['reset', 'reset-after', 'hang', 'hang-after', 'cut-body', 'not-json'] as const) {
        it(`makes one Case and one Note when their requests end in ${answer}`, async () => {
          await start(options);
          const one = process({ settings: { note: true }, timeoutMs: 60 });
          zoho.fail({ method: 'POST', path: /v8\/Cases$/, answer });
          zoho.fail({ method: 'POST', path: /v8\/Notes$/, answer });
          const { verdict } = await one.settle(conversation('abc'));
          assert.ok(verdict.kind === 'delivered' || verdict.kind === 'duplicate');
          assert.deepEqual([zoho.cases.length, zoho.notes.length], [1, 1]);
        });
      }

      it('makes one Case when a request that was given up is carried out late', async () => {
        await start(options);
        const one = process({ timeoutMs: 100 });
        zoho.fail({ method: 'POST', path: /v8\/Cases$/, answer: { delayMs: 150 } });
        await one.settle(conversation('abc'));
        assert.equal(zoho.cases.length, 1);
      });

      it('makes one Case when many processes are given the same conversation at the same time', async () => {
        await start({ ...options, latencyMs: 5 });
        const values: MemoryValues = new Map();
        const many = Array.from({ length: 8 }, (_, number) =>
          process({ values, owner: `process ${number}`, shared: true, settings: { note: true } }),
        );
        await Promise.all(many.map((each) => each.settle(conversation('abc'), 10)));
        assert.deepEqual([zoho.cases.length, zoho.notes.length], [1, 1]);
      });
    });
  }

  it('takes over from a process that has died, when its claim is over', async () => {
    await start(NOT_UNIQUE);
    const values: MemoryValues = new Map();
    const dead = process({ values, owner: 'dead', shared: true, timeoutMs: 60_000, claimMs: 300 });
    zoho.fail({ method: 'POST', path: /v8\/Cases$/, answer: 'hang' });
    void dead.write(conversation('abc'));
    await zoho.api.until(() => zoho.api.counts['POST /crm/v8/Cases'] === 1);
    const next = process({ values, owner: 'next', shared: true, timeoutMs: 300, claimMs: 300 });
    assert.equal((await next.write(conversation('abc'))).verdict.kind, 'busy');
    // It is not heard of any more.
    dead.state.store.replace = async () => false;
    await next.settle(conversation('abc'), 50);
    assert.equal(zoho.cases.length, 1);
  });

  it('makes no Case when it has lost its claim while it was looking for one', async () => {
    await start(NOT_UNIQUE);
    const values: MemoryValues = new Map();
    const slow = process({ values, owner: 'slow', shared: true, timeoutMs: 5_000, claimMs: 150 });
    zoho.fail({ path: /coql/, body: /Contacts/, answer: { delayMs: 1_500 } });
    const late = slow.write(conversation('abc'));
    await until(() => zoho.api.log.filter(({ path }) => path.endsWith('coql')).length === 2, 'the second look-up');
    values.clear();
    const other = process({ values, owner: 'other', shared: true });
    assert.equal((await other.write(conversation('abc'))).result?.action, 'created');
    const { verdict, scope } = await late;
    assert.deepEqual([verdict.kind, scope], ['busy', 'one']);
    assert.equal((await slow.settle(conversation('abc'))).verdict.kind, 'duplicate');
    assert.equal(zoho.cases.length, 1);
  });

  it('makes one Case for each of many conversations under random failures', async () => {
    await start(NOT_UNIQUE);
    const one = process({ timeoutMs: 200, settings: { note: true } });
    const answers = ['reset', 'reset-after', 'hang-after', { status: 503 }, { status: 429 }, 'not-json'] as const;
    let number = 0;
    zoho.fail({
      path: /crm/,
      times: Number.POSITIVE_INFINITY,
      answer: () => (Math.random() < 0.3 ? answers[number++ % answers.length] : undefined),
    });
    const ids = Array.from({ length: 30 }, (_, each) => `conversation-${each}`);
    await Promise.all(ids.map((id) => one.settle(conversation(id), 100)));
    for (const id of ids) {
      const [made, ...more] = zoho.casesOf(id);
      assert.ok(made && more.length === 0, id);
      assert.equal(zoho.notesOf(made.id).length, 1, id);
    }
  });

  describe('while the shared store is away', () => {
    it('goes on where the field is unique', async () => {
      await start();
      const one = process({ shared: true });
      one.state.alone = true;
      assert.equal((await one.write(conversation('abc'))).verdict.kind, 'delivered');
    });

    it('waits where it is not, says why, and goes on when the store is back', async () => {
      await start(NOT_UNIQUE);
      const one = process({ shared: true });
      one.state.alone = true;
      const { verdict, scope } = await one.write(conversation('abc'));
      assert.deepEqual([verdict.kind, scope, zoho.cases.length], ['busy', 'all', 0]);
      assert.match('error' in verdict ? verdict.error.message : '', /not unique/);
      one.state.alone = false;
      assert.equal((await one.write(conversation('abc'))).verdict.kind, 'delivered');
    });

    it('waits a while before it adds a Note to a Case that another has made', async () => {
      await start();
      await process({ settings: { note: true } }).write(conversation('abc'));
      const other = process({ shared: true, settings: { note: true } });
      other.state.alone = true;
      const { verdict } = await other.write(conversation('abc'));
      assert.equal(verdict.kind, 'busy');
      const waitMs = 'error' in verdict ? (verdict.error.retryAfterMs ?? 0) : 0;
      assert.ok(waitMs >= 4_900 && waitMs <= 30_000);
    });
  });

  it('sorts what Zoho says: rejected data, refused rights, too many requests', async () => {
    await start();
    const one = process();
    const told = async (answer: { status: number; body?: unknown }) => {
      zoho.fail({ method: 'POST', path: /v8\/Cases$/, answer });
      const { verdict, scope } = await one.write(conversation(`c${zoho.api.total}`));
      return [verdict.kind, scope];
    };
    const error = (code: string) => ({ code, status: 'error', message: 'm', details: {} });
    assert.deepEqual(await told({ status: 202, body: { data: [error('MANDATORY_NOT_FOUND')] } }), ['rejected', 'one']);
    assert.deepEqual(await told({ status: 400, body: { data: [error('SOMETHING_NEW')] } }), ['rejected', 'one']);
    assert.deepEqual(await told({ status: 403, body: error('NO_PERMISSION') }), ['refused', 'all']);
    assert.deepEqual(await told({ status: 400, body: error('AUTHORIZATION_FAILED') }), ['refused', 'all']);
    assert.deepEqual(await told({ status: 401, body: error('OAUTH_SCOPE_MISMATCH') }), ['refused', 'all']);
    assert.deepEqual(await told({ status: 429, body: error('TOO_MANY_REQUESTS') }), ['busy', 'all']);
    assert.deepEqual(await told({ status: 500, body: error('INTERNAL_ERROR') }), ['unknown', 'all']);
  });

  it('makes no second Case at once when Zoho does not know itself whether it has made the first', async () => {
    await start(NOT_UNIQUE);
    const one = process();
    const failed = { code: 'INTERNAL_ERROR', status: 'error', message: 'm', details: {} };
    zoho.fail({ method: 'POST', path: /v8\/Cases$/, answer: { status: 202, body: { data: [failed] } } });
    assert.equal((await one.write(conversation('abc'))).verdict.kind, 'unknown');
    const { verdict } = await one.write(conversation('abc'));
    assert.match('error' in verdict ? verdict.error.message : verdict.kind, /a request for it was not answered/);
    assert.equal((await one.settle(conversation('abc'))).result?.action, 'created');
    assert.equal(zoho.cases.length, 1);
  });

  it('says which field is missing in Zoho', async () => {
    await start({ caseFields: [] });
    const { verdict } = await process().write(conversation('abc'));
    assert.equal(verdict.kind, 'refused');
    assert.match('error' in verdict ? verdict.error.message : '', /Create the field Cody_Conversation_ID/);
  });

  it('makes a new Case when someone has deleted the old one, and a new contact', async () => {
    await start();
    const one = process();
    await one.write(conversation('abc'));
    zoho.modules.get('Cases')!.remove(zoho.cases[0]!.id);
    zoho.modules.get('Contacts')!.remove(zoho.contacts[0]!.id);
    const { result } = await one.write(conversation('abc', 4));
    assert.deepEqual([result?.action, zoho.cases.length, zoho.contacts.length], ['created', 1, 1]);
  });

  it('renews a token that was killed, once, and repeats the call', async () => {
    await start();
    const one = process();
    await one.write(conversation('abc'));
    zoho.oauth.revokeAccess();
    assert.equal((await one.write(conversation('def'))).verdict.kind, 'delivered');
    assert.equal(zoho.oauth.issued.length, 2);
  });

  it('renews the token once also when a 401 does not say why, as that of a gateway', async () => {
    await start();
    const one = process();
    zoho.fail({ method: 'GET', path: /settings\/fields/, answer: { status: 401, body: '' } });
    assert.equal((await one.write(conversation('abc'))).verdict.kind, 'delivered');
    assert.equal(zoho.oauth.issued.length, 2);
  });

  it('does not ask for a new token when a scope is missing', async () => {
    await start({ scopes: ['ZohoCRM.settings.ALL'] });
    const one = process();
    for (let time = 0; time < 5; time++) assert.equal((await one.write(conversation('abc'))).verdict.kind, 'refused');
    assert.equal(zoho.oauth.issued.length, 1);
  });
});
