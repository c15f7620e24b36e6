import assert from 'node:assert/strict';
import fc from 'fast-check';
import { redact } from '../../../lib/core/redaction';
import {
  boolean,
  type ConfigResult,
  choice,
  configNode,
  type Field,
  type Fields,
  integer,
  json,
  list,
  number,
  optionalConfigNode,
  parsed,
  readConfig,
  readForm,
  regex,
  secret,
  text,
  timeZone,
  url,
  type Values,
} from '../../../lib/red/config';
import type { Definition, Red, RuntimeNode } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { type FlowNode, type Runtime, type StartOptions, startRuntime } from '../../nodes/helper';

describe('configuration', () => {
  let runtime: Runtime;
  let lastDefinition: Definition;
  const variables = new Set<string>();

  const modules = [
    (RED: Red) => registerNode(RED, 'test-connection', () => {}),
    (RED: Red) =>
      registerNode(
        RED,
        'test-node',
        (_node, definition) => {
          lastDefinition = definition;
        },
        { key: 'password' },
      ),
  ];

  function environment(values: Record<string, string>): void {
    for (const [name, value] of Object.entries(values)) {
      process.env[name] = value;
      variables.add(name);
    }
  }

  /** Deploys a node with these properties and reads it with these fields. */
  async function read<const Of extends Fields>(
    fields: Of,
    properties: Record<string, unknown> = {},
    { tab = {}, ...options }: StartOptions & { tab?: Record<string, unknown> } = {},
  ): Promise<ConfigResult<Values<Of>>> {
    const flow: FlowNode[] = [
      { id: 'tab', type: 'tab', label: 'Tab', ...tab },
      { id: 'connection', type: 'test-connection', name: '' },
      { id: 'off', type: 'test-connection', name: '', d: true },
      { id: 'tested', type: 'test-node', z: 'tab', name: '', wires: [], ...properties },
    ];
    runtime = await startRuntime(modules, flow, options);
    return readConfig(runtime.RED, runtime.node('tested'), lastDefinition, fields);
  }

  /** The value of one field, read from the property `it`. */
  async function value<Value>(field: Field<Value>, property?: unknown, options?: StartOptions): Promise<Value> {
    const result = await read({ it: field }, property === undefined ? {} : { it: property }, options);
    if (!result.ok) throw result.error;
    return result.value.it;
  }

  /** The text of the error for one field. */
  async function problem(field: Field<unknown>, property?: unknown, options?: StartOptions): Promise<string> {
    const result = await read({ it: field }, property === undefined ? {} : { it: property }, options);
    assert.ok(!result.ok, 'an error was expected');
    assert.equal(result.error.code, 'CONFIGURATION');
    return result.error.message;
  }

  afterEach(async () => {
    for (const name of variables) delete process.env[name];
    variables.clear();
    await runtime.stop();
  });

  describe('of any kind', () => {
    it('takes what stands behind a variable when that is not set, and the variable when it is', async () => {
      assert.equal(await value(text(), '${CONFIG_TEST_QUEUE:-a.queue}'), 'a.queue');
      await runtime.stop();
      assert.equal(await value(integer(), '${CONFIG_TEST_NUMBER:-7}'), 7);
      await runtime.stop();
      assert.equal(await value(text(), '${CONFIG_TEST_QUEUE:-}'), undefined);
      await runtime.stop();
      environment({ CONFIG_TEST_QUEUE: 'another' });
      assert.equal(await value(text(), '${CONFIG_TEST_QUEUE:-a.queue}'), 'another');
    });

    it('takes the choice of a configuration node or none where it works without one', async () => {
      assert.equal(await value(optionalConfigNode('test-connection'), ''), undefined);
      await runtime.stop();
      assert.equal((await value(optionalConfigNode('test-connection'), 'connection'))?.id, 'connection');
      await runtime.stop();
      assert.match(await problem(optionalConfigNode('test-connection'), 'off'), /must name an enabled test-connection/);
    });

    it('prefers the property, then the environment variable, then the default', async () => {
      const field = text({ default: 'fallback', environment: 'TEST_NAME' });
      environment({ TEST_NAME: 'from the environment' });
      assert.equal(await value(field, 'own'), 'own');
      await runtime.stop();
      assert.equal(await value(field, ''), 'from the environment');
      await runtime.stop();
      delete process.env['TEST_NAME'];
      assert.equal(await value(field, '  '), 'fallback');
    });

    it('is undefined when nothing is set and there is no default', async () => {
      assert.equal(await value(text()), undefined);
    });

    it('counts what the runtime could not fill in as not set', async () => {
      for (const left of ['${TEST_UNSET}', '$(TEST_UNSET)', ' ${TEST_UNSET} ']) {
        assert.equal(await value(text({ default: 'fallback' }), left), 'fallback', left);
        await runtime.stop();
      }
      assert.equal(await value(text(), 'x${TEST_UNSET}'), 'x${TEST_UNSET}', 'a part of a text is left as it is');
    });

    it('takes what the runtime has filled in', async () => {
      environment({ TEST_COUNT: '12' });
      assert.equal(await value(integer(), '${TEST_COUNT}'), 12);
    });

    it('takes the first of several environment variables that is set', async () => {
      environment({ TEST_OLD: '7', TEST_EMPTY: '' });
      assert.equal(await value(integer({ environment: ['TEST_NEW', 'TEST_EMPTY', 'TEST_OLD'] })), 7);
    });

    it('looks a variable up in the flow before the process', async () => {
      environment({ TEST_NAME: 'process' });
      const tab = { env: [{ name: 'TEST_NAME', value: 'flow', type: 'str' }] };
      const result = await read({ it: text({ environment: 'TEST_NAME' }) }, {}, { tab });
      assert.ok(result.ok);
      assert.equal(result.value.it, 'flow');
    });

    it('names the property and the variable when something required is missing', async () => {
      assert.match(await problem(text({ required: true })), /the property it is not set\. Correct the configuration/);
      await runtime.stop();
      const field = url({ required: true, environment: ['TEST_URL', 'TEST_ADDRESS'] });
      const both = /the property it is not set, nor is the environment variable TEST_URL or TEST_ADDRESS\./;
      assert.match(await problem(field), both);
      await runtime.stop();
      const referred = /the environment variable TEST_GIVEN, which the property it refers to, is not set/;
      assert.match(await problem(field, '${TEST_GIVEN}'), referred);
    });

    it('names the variable when its value is the one that is wrong', async () => {
      environment({ TEST_COUNT: 'many' });
      const told = await problem(integer({ environment: 'TEST_COUNT', min: 1 }));
      assert.match(told, /the environment variable TEST_COUNT must be a whole number of at least 1, not "many"/);
    });

    it('tells everything that is wrong in one error', async () => {
      const fields = { count: integer({ min: 1, max: 5 }), mode: choice(['a', 'b']), address: url({ required: true }) };
      const result = await read(fields, { count: 9, mode: 'c' });
      assert.ok(!result.ok);
      assert.match(
        result.error.message,
        /^Could not use the configuration: the property count must be a whole number from 1 to 5, not "9"; the property mode must be one of a, b, not "c"; the property address is not set\. /,
      );
    });

    it('shows wrong values short and without secrets', async () => {
      const told = await problem(url(), `ftp://me:open-sesame@host/${'x'.repeat(500)}`);
      assert.doesNotMatch(told, /open-sesame/);
      assert.ok(told.length < 300);
    });
  });

  it('reads texts, numbers, switches, choices, lists and expressions in the forms people write them', async () => {
    const isList = (it: unknown): it is number[] => Array.isArray(it);
    const fields = {
      word: text(),
      half: number(),
      negative: integer({ min: -5 }),
      on: boolean(),
      off: boolean(),
      flag: boolean(),
      mode: choice(['memory', 'disk']),
      lines: list(),
      array: list(),
      parsed: json({ check: isList, expected: 'a list' }),
      given: json({ check: isList, expected: 'a list' }),
      expression: regex(),
      exact: regex({ flags: '' }),
      address: url(),
      broker: url({ protocols: ['amqp:', 'amqps:'] }),
    };
    const result = await read(fields, {
      word: '  spaced out ',
      half: '0.5',
      negative: -5,
      on: 'Yes',
      off: ' FALSE ',
      flag: true,
      mode: 'disk',
      lines: ' a, b\n\nc ,',
      array: [' x ', 'y,z', ''],
      parsed: '[1,2]',
      given: [3],
      expression: '^audiohook',
      exact: 'Exact',
      address: ' https://host:9200/path// ',
      broker: 'amqp://guest:guest@localhost:5672/',
    });
    assert.ok(result.ok);
    const { expression, exact, ...plain } = result.value;
    assert.deepEqual(plain, {
      word: 'spaced out',
      half: 0.5,
      negative: -5,
      on: true,
      off: false,
      flag: true,
      mode: 'disk',
      lines: ['a', 'b', 'c'],
      array: ['x', 'y,z'],
      parsed: [1, 2],
      given: [3],
      address: 'https://host:9200/path',
      broker: 'amqp://guest:guest@localhost:5672/',
    });
    assert.ok(expression!.test('AudioHook.connected'));
    assert.ok(!exact!.test('exact'));
  });

  it('lets a field read its own kind of text, and says what it must be', async () => {
    const hours = parsed((found) => {
      if (!/^\d+ h$/.test(found)) throw new Error('be hours such as 3 h');
      return Number.parseInt(found, 10);
    });
    assert.equal(await value(hours, ' 3 h '), 3);
    await runtime.stop();
    assert.match(await problem(hours, 'soon'), /the property it must be hours such as 3 h, not "soon"/);
  });

  it('takes the zones that there are', async () => {
    assert.equal(await value(timeZone(), 'Europe/Berlin'), 'Europe/Berlin');
    await runtime.stop();
    assert.equal(await value(timeZone()), undefined);
    await runtime.stop();
    assert.match(
      await problem(timeZone(), 'Nowhere/Land'),
      /the property it must be a time zone such as Europe\/Berlin/,
    );
  });

  it('gives a value of false or 0 precedence over the default', async () => {
    const result = await read(
      { flag: boolean({ default: true }), count: integer({ default: 5 }) },
      { flag: false, count: 0 },
    );
    assert.deepEqual(result, { ok: true, value: { flag: false, count: 0 } });
  });

  for (const [what, field, wrong, expected] of [
    ['a number', number(), 'abc', 'a number'],
    ['a number', number(), 'NaN', 'a number'],
    ['a whole number', integer(), '1.5', 'a whole number'],
    ['a whole number', integer(), '1e400', 'a whole number'],
    ['a bounded number', number({ max: 1 }), 1.01, 'a number of at most 1'],
    ['a switch', boolean(), 'maybe', 'true or false'],
    [
      'JSON',
      json({ check: (it): it is object => typeof it === 'object', expected: 'an object' }),
      '{',
      'an object as JSON',
    ],
    ['JSON', json({ check: (it): it is object => typeof it === 'object', expected: 'an object' }), '7', 'an object'],
    ['an expression', regex(), '(', 'a regular expression'],
    ['an address', url(), 'localhost:9200', 'an address that begins with http:// or https://'],
    ['an address', url(), 'amqp://host', 'an address that begins with http:// or https://'],
    ['a patterned text', text({ pattern: /^[a-z]+$/, expected: 'lower case' }), 'ABC', 'lower case'],
  ] as [string, Field<unknown>, unknown, string][]) {
    it(`says what ${what} must be, for ${JSON.stringify(wrong)}`, async () => {
      const told = await problem(field, wrong);
      assert.ok(told.includes(`the property it must be ${expected}, not "`), told);
    });
  }

  it('accepts exactly the whole numbers within the bounds, as number or text', async () => {
    await read({});
    const node = runtime.node('tested');
    fc.assert(
      fc.property(fc.oneof(fc.integer(), fc.double()), fc.integer(), fc.nat(), (given, min, width) => {
        const fields = { it: integer({ min, max: min + width }) };
        const fits = Number.isSafeInteger(given) && given >= min && given <= min + width;
        for (const form of [given, String(given)]) {
          const result = readConfig(runtime.RED, node, { it: form } as unknown as Definition, fields);
          assert.equal(result.ok, fits);
          if (result.ok) assert.equal(result.value.it, Number(form));
        }
      }),
    );
  });

  describe('of secrets', () => {
    const field = secret({
      credential: 'key',
      environmentProperty: 'keyEnvironment',
      environment: 'TEST_KEY',
      required: true,
    });
    const stored = (key: string) => ({ credentials: { tested: { key } } });
    const readSecret = async (properties: Record<string, unknown>, options: StartOptions = {}) =>
      read({ it: field }, properties, options);

    it('takes the credential before any environment variable, and masks it from then on', async () => {
      environment({ TEST_KEY: 'from-environment' });
      const result = await readSecret({}, stored('a-stored-credential'));
      assert.ok(result.ok);
      assert.equal(result.value.it, 'a-stored-credential');
      assert.equal(redact('it is a-stored-credential!'), 'it is ***!');
    });

    it('takes the variable that the user has named, and not the default one beside it', async () => {
      environment({ TEST_KEY: 'default-key', TEST_MINE: 'my-own-key' });
      const named = await readSecret({ keyEnvironment: 'TEST_MINE' });
      assert.ok(named.ok);
      assert.equal(named.value.it, 'my-own-key');
      await runtime.stop();
      const missing = await readSecret({ keyEnvironment: 'TEST_OTHER' });
      assert.ok(!missing.ok);
      assert.match(
        missing.error.message,
        /the credential key is not set, nor is the environment variable TEST_OTHER\./,
      );
    });

    it('takes the default variable when the user has named none', async () => {
      environment({ TEST_KEY: 'default-key' });
      const result = await readSecret({ keyEnvironment: '' });
      assert.ok(result.ok);
      assert.equal(result.value.it, 'default-key');
      assert.equal(redact('default-key'), '***');
    });

    it('counts a credential that was not filled in as not set', async () => {
      environment({ TEST_KEY: 'default-key' });
      const result = await readSecret({}, stored('${TEST_UNSET}'));
      assert.ok(result.ok);
      assert.equal(result.value.it, 'default-key');
    });

    it('never tells a secret that someone has typed where its variable should be named', async () => {
      const result = await readSecret({ keyEnvironment: 'hunter2-the-real-secret' });
      assert.ok(!result.ok);
      assert.doesNotMatch(result.error.message, /hunter2/);
      assert.match(result.error.message, /the environment variable named in keyEnvironment/);
    });

    it('is undefined when it is not required', async () => {
      const result = await read({ it: secret({ credential: 'key' }) });
      assert.deepEqual(result, { ok: true, value: { it: undefined } });
    });

    it('in an address becomes known to the redaction', async () => {
      await value(url(), 'https://elastic:pass-in-address@host');
      assert.equal(redact('pass-in-address'), '***');
    });
  });

  describe('of configuration nodes', () => {
    it('gives the running node and makes the reader one of its users', async () => {
      const result = await read(
        { connection: configNode<RuntimeNode>('test-connection') },
        { connection: 'connection' },
      );
      assert.ok(result.ok);
      assert.equal(result.value.connection, runtime.node('connection'));
      assert.deepEqual(Object.keys(result.value.connection.users!), ['tested']);
    });

    for (const [what, id, expected] of [
      ['none is chosen', '', 'must name a test-connection node'],
      ['it is disabled', 'off', 'must name an enabled test-connection node'],
      ['it is of another type', 'tested', 'must name an enabled test-connection node'],
    ] as const) {
      it(`says so when ${what}`, async () => {
        assert.ok((await problem(configNode('test-connection'), id)).includes(`the property it ${expected}`));
      });
    }
  });

  describe('that an edit dialog has posted', () => {
    const FIELDS = {
      address: url({ required: true, environment: 'TEST_URL' }),
      key: secret({ credential: 'key', environmentProperty: 'keyEnvironment', environment: 'TEST_KEY' }),
      connection: configNode('test-connection'),
    };
    const form = { address: 'https://host', connection: 'connection' };

    it('is read before the first deploy from the posted values alone', async () => {
      await read({});
      environment({ TEST_URL: 'https://from-environment' });
      const result = readForm(runtime.RED, { ...form, id: 'new', address: '${TEST_URL}', key: 'typed-in-key' }, FIELDS);
      assert.ok(result.ok);
      assert.equal(result.value.address, 'https://from-environment');
      assert.equal(result.value.key, 'typed-in-key');
      assert.equal(redact('typed-in-key'), '***');
    });

    it('uses the stored credential where the dialog has only its placeholder', async () => {
      await read({}, {}, { credentials: { tested: { key: 'stored-key-1' } } });
      const posted = readForm(runtime.RED, { ...form, id: 'tested', key: '__PWRD__' }, FIELDS);
      assert.ok(posted.ok);
      assert.equal(posted.value.key, 'stored-key-1');
      const changed = readForm(runtime.RED, { ...form, id: 'tested', key: 'changed-key' }, FIELDS);
      assert.ok(changed.ok);
      assert.equal(changed.value.key, 'changed-key');
      const other = readForm(runtime.RED, { ...form, id: 'other', key: '__PWRD__' }, FIELDS);
      assert.ok(other.ok);
      assert.equal(other.value.key, undefined, 'of the node that is edited, and of no other');
    });

    it('does not make a user of a node that is only being edited', async () => {
      await read({});
      assert.ok(readForm(runtime.RED, { ...form, id: 'tested' }, FIELDS).ok);
      assert.deepEqual(runtime.node('connection').users ?? {}, {});
    });

    it('names a variable that is not set', async () => {
      await read({});
      const result = readForm(runtime.RED, { ...form, address: '${TEST_UNSET}' }, FIELDS);
      assert.ok(!result.ok);
      assert.match(result.error.message, /the environment variable TEST_UNSET, which the property address refers to/);
    });
  });
});
