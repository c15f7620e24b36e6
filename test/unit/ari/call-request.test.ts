import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AskedCall, type CallRules, checkCall, checkCallerId, checkNumber } from '../../../lib/ari/call-request';
import { ContactError } from '../../../lib/core/errors';
import { repetitions } from '../../services/requirements';

const RULES: CallRules = {
  allowedPrefixes: ['+'],
  allowedContexts: ['outbound-ivr', 'other/100', 'third/s/2'],
  allowedVariables: ['LANGUAGE', 'CALL_*'],
  context: 'outbound-ivr',
  extension: 's',
  priority: 1,
  timeoutMs: 30_000,
  callerId: undefined,
};
const CALL: AskedCall = { phoneNumber: '+15550100' };

function reasonOf(asked: Partial<AskedCall>, rules = RULES): string | undefined {
  try {
    checkCall({ ...CALL, ...asked }, rules);
    return undefined;
  } catch (thrown) {
    assert.ok(thrown instanceof ContactError && thrown.code === 'INVALID_INPUT', String(thrown));
    assert.ok(thrown.status === 422 || thrown.status === 403);
    // Terminals and pages obey control characters and tags: none of the input may come back with them.
    assert.match(thrown.message, /^[\x20-\x7e]*$/);
    assert.doesNotMatch(thrown.message, /[<>]/);
    return thrown.reason;
  }
}

/** Texts made of what an attacker would use: signs of SIP, of the dialplan, of URLs, and whatever Unicode has. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc
    .array(
      fc.oneof(
        fc.constantFrom(
          '+1555',
          '0100',
          '&',
          '@',
          '/',
          ',',
          ';',
          '|',
          '^',
          '${',
          '}',
          '$[',
          '%0d%0a',
          '\r\n',
          '\n',
          '\0',
        ),
        fc.constantFrom(
          '"',
          '<sip:',
          '>',
          '\\',
          '`',
          "'",
          '(',
          ')',
          ' ',
          '.',
          '-',
          '[',
          ']',
          '\u00a0',
          '\u200b',
          '\uff11',
          '\u0661',
        ),
        fc.constantFrom('PJSIP/', '@trunk', 'SHELL(id)', 'outbound-ivr', '__', '/n', ';user=phone', '\u202e', '*', '#'),
        fc.integer({ min: 0, max: 99 }).map(String),
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
  fc.constantFrom('constructor', '__proto__', 'toString'),
);
const anything = fc.oneof(hostile, hostile, hostile, fc.anything());

describe('a call that is asked for', () => {
  it('gets what is missing from the rules', () => {
    assert.deepEqual(checkCall(CALL, { ...RULES, callerId: 'Support <+15559990000>' }), {
      phoneNumber: '+15550100',
      context: 'outbound-ivr',
      extension: 's',
      priority: 1,
      timeoutMs: 30_000,
      callerId: '"Support" <+15559990000>',
      variables: {},
    });
  });

  it('may have spaces, dots, dashes and brackets in its number; everything else is refused, never cleaned', () => {
    for (const number of ['+1 (555) 010-0100', '+1.555.010.0100', '+1[555]0100100']) {
      assert.equal(checkNumber(number, ['+']), '+15550100100');
    }
    const refused = ['+1555010x', '1+5550100', '+0155501000', '+1234', '+1234567890123456', '', '+', '+1555\u00a00100'];
    for (const number of [...refused, '+1555/0100', '+15550100@trunk', '+1555&0100', '+15550100\n', '\uff0b15550100']) {
      assert.equal(reasonOf({ phoneNumber: number }), 'invalid_number', JSON.stringify(number));
    }
    for (const number of [15550100, null, undefined, ['+15550100'], { toString: () => '+15550100' }, true]) {
      assert.equal(reasonOf({ phoneNumber: number }), 'invalid_number');
    }
  });

  it('goes only to numbers with an allowed prefix', () => {
    assert.equal(reasonOf({ phoneNumber: '15550100' }), 'number_not_allowed');
    const rules = { ...RULES, allowedPrefixes: ['+49', '7'] };
    assert.equal(reasonOf({ phoneNumber: '+4930123456' }, rules), undefined);
    assert.equal(reasonOf({ phoneNumber: '7001' }, rules), undefined);
    assert.equal(reasonOf({ phoneNumber: '+15550100' }, rules), 'number_not_allowed');
    assert.equal(reasonOf({ phoneNumber: '+15550100' }, { ...RULES, allowedPrefixes: [] }), 'number_not_allowed');
    assert.equal(reasonOf({ phoneNumber: '+15550100' }, { ...RULES, allowedPrefixes: [''] }), 'number_not_allowed');
  });

  it('goes only to places of the dialplan that are allowed', () => {
    assert.equal(reasonOf({ context: 'outbound-ivr', extension: '*100#', priority: 7 }), undefined);
    assert.equal(reasonOf({ context: 'other', extension: '100', priority: 3 }), undefined);
    assert.equal(reasonOf({ context: 'other' }), 'context_not_allowed');
    assert.equal(reasonOf({ context: 'third', priority: 2 }), undefined);
    assert.equal(reasonOf({ context: 'third' }), 'context_not_allowed');
    assert.equal(reasonOf({ context: 'internal' }), 'context_not_allowed');
    assert.equal(reasonOf({}, { ...RULES, allowedContexts: [] }), 'context_not_allowed');
    assert.equal(reasonOf({ context: 'a,b' }), 'invalid_context');
    assert.equal(reasonOf({ extension: 's,1' }), 'invalid_extension');
  });

  it('has numbers as numbers, within bounds', () => {
    const checked = checkCall({ ...CALL, priority: '2', timeout: '1500', extension: 100 }, RULES);
    assert.deepEqual([checked.priority, checked.timeoutMs, checked.extension], [2, 1_500, '100']);
    for (const priority of [0, -1, 1.5, '1e3', '', null, {}, Number.NaN, 1_001]) {
      assert.equal(reasonOf({ priority: priority ?? {} }), 'invalid_priority');
    }
    for (const timeout of [0, 600_001, 'x', '99999999999', [30]])
      assert.equal(reasonOf({ timeout }), 'invalid_timeout');
  });

  it('has a caller id of safe signs', () => {
    assert.equal(checkCallerId('Outbound Call'), '"Outbound Call" <>');
    assert.equal(checkCallerId('"Zoë\r\nVia: evil" <+1 (555) 999-0000>'), '"ZoeVia evil" <+15559990000>');
    assert.equal(checkCallerId('+1 555 999 0000'), '+15559990000');
    assert.equal(checkCallerId('<15559990000>'), '15559990000');
    assert.equal(reasonOf({ callerId: 'x <sip:evil@host>' }), 'invalid_caller_id');
    assert.equal(reasonOf({ callerId: '\u{1f600}' }), 'invalid_caller_id');
    assert.equal(reasonOf({ callerId: 'x'.repeat(201) }), 'invalid_caller_id');
    assert.equal(reasonOf({ callerId: 42 }), 'invalid_caller_id');
  });

  it('sets only allowed variables, to plain texts', () => {
    const variables = { LANGUAGE: 'de', CALL_ID: 'Zoë, 7' };
    assert.deepEqual(checkCall({ ...CALL, variables }, RULES).variables, variables);
    assert.equal(reasonOf({ variables: { TRANSFER_CONTEXT: 'internal' } }), 'variable_not_allowed');
    assert.equal(reasonOf({ variables: { 'CALL_X(y)': 'z' } }), 'invalid_variables');
    assert.equal(reasonOf({ variables: { 'SHELL(id)': '' } }), 'invalid_variables');
    assert.equal(reasonOf({ variables: { LANGUAGE: '${SHELL(id)}' } }), 'invalid_variables');
    assert.equal(reasonOf({ variables: { LANGUAGE: 'de\r\nX: y' } }), 'invalid_variables');
    assert.equal(reasonOf({ variables: { LANGUAGE: 1 } }), 'invalid_variables');
    assert.equal(reasonOf({ variables: ['LANGUAGE'] }), 'invalid_variables');
    assert.equal(reasonOf({ variables: { LANGUAGE: 'x'.repeat(256) } }), 'invalid_variables');
  });

  const runs = repetitions(10_000, 50_000);
  it(`has a form that means nothing else to Asterisk, or is refused (${runs} hostile calls)`, function () {
    this.timeout(300_000);
    const asked = fc.record(
      {
        phoneNumber: fc.oneof(anything, fc.constant('+15550100')),
        context: fc.oneof(anything, fc.constant('outbound-ivr')),
        extension: fc.oneof(anything, fc.constant('s')),
        priority: anything,
        timeout: anything,
        callerId: anything,
        variables: fc.oneof(
          anything,
          fc.dictionary(fc.oneof(hostile, fc.constantFrom('LANGUAGE', 'CALL_1')), anything),
        ),
      },
      { requiredKeys: ['phoneNumber'] },
    );
    let made = 0;
    fc.assert(
      fc.property(asked, (each) => {
        let call: ReturnType<typeof checkCall>;
        try {
          call = checkCall(each as AskedCall, RULES);
        } catch (thrown) {
          assert.ok(thrown instanceof ContactError && thrown.code === 'INVALID_INPUT');
          assert.match(thrown.message, /^[\x20-\x7e]*$/);
          return;
        }
        made += 1;
        assert.match(call.phoneNumber, /^\+[1-9][0-9]{6,14}$/);
        assert.equal(call.phoneNumber, String(each.phoneNumber).replace(/[ .\-()[\]]/g, ''));
        assert.equal(call.context, 'outbound-ivr');
        assert.match(call.extension, /^[A-Za-z0-9_*#+-]{1,50}$/);
        assert.ok(Number.isInteger(call.priority) && call.priority >= 1 && call.priority <= 1_000);
        assert.ok(Number.isInteger(call.timeoutMs) && call.timeoutMs >= 1 && call.timeoutMs <= 600_000);
        if (call.callerId !== undefined)
          assert.match(call.callerId, /^("[A-Za-z0-9 _.'+-]{1,40}" <(\+?[0-9]{2,15})?>|\+?[0-9]{2,15})$/);
        for (const [name, value] of Object.entries(call.variables)) {
          assert.match(name, /^(LANGUAGE|CALL_\w*)$/);
          assert.doesNotMatch(value, /[$`\\\p{Cc}]/u);
        }
      }),
      { numRuns: runs },
    );
    assert.ok(made > 0);
  });
});
