import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Field, integer, json, number, readConfig, regex, text, timeZone, url } from '../../../lib/red/config';
import type { Definition, Red, RuntimeNode } from '../../../lib/red/node';
import * as check from '../../../resources/checks.mjs';

type Check = (this: unknown, value: unknown, options: object) => unknown;

// The checks find their sentences in the editor.
Object.assign(globalThis, { RED: { _: (key: string, values: object) => `${key} ${JSON.stringify(values)}` } });

/** Whether the runtime takes a value, where no environment variable is set. */
function runtimeTakes(field: Field<unknown>, value: unknown): boolean {
  const RED = { util: { getSetting: () => undefined } } as unknown as Red;
  return readConfig(RED, {} as RuntimeNode, { field: value } as unknown as Definition, { field }).ok;
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const PAIRS: { name: string; field: Field<unknown>; validate: Check; values: fc.Arbitrary<unknown> }[] = [
  {
    name: 'whole numbers',
    field: integer({ min: -3, max: 500 }),
    validate: check.integer(-3, 500),
    values: fc.oneof(
      fc.integer({ min: -10, max: 600 }),
      fc.double(),
      fc.constantFrom('7', ' 8 ', '9.5', '1e2', '0x10', 'x'),
    ),
  },
  {
    name: 'numbers',
    field: number({ min: 0.1, max: 3_600 }),
    validate: check.number(0.1, 3_600),
    values: fc.oneof(fc.double(), fc.double({ min: -1, max: 4_000 }), fc.constantFrom('0.1', '1,5', '3600.0', '-1')),
  },
  {
    name: 'addresses',
    field: url(),
    validate: check.url(),
    values: fc.oneof(fc.webUrl(), fc.constantFrom('ftp://a', 'http:/', 'a.b', 'https://a b')),
  },
  {
    name: 'addresses with other schemes',
    field: url({ protocols: ['redis:', 'rediss:'] }),
    validate: check.url('redis', 'rediss'),
    values: fc.constantFrom('redis://a', 'rediss://a:1/0', 'http://a', 'redis', 'redis:'),
  },
  {
    name: 'regular expressions',
    field: regex(),
    validate: check.regex(),
    values: fc.constantFrom('a|b', '(', '[a-', '\\d+', '*'),
  },
  {
    name: 'time zones',
    field: timeZone(),
    validate: check.timeZone(),
    values: fc.constantFrom('UTC', 'Europe/Berlin', 'Berlin', 'Mars/Base'),
  },
  {
    name: 'texts of a form',
    field: text({ pattern: /^v\d+$/ }),
    validate: check.pattern(/^v\d+$/),
    values: fc.constantFrom('v8', ' v9 ', 'v', '8'),
  },
  {
    name: 'objects in JSON',
    field: json({ check: isObject, expected: 'an object' }),
    validate: check.json(),
    values: fc.oneof(fc.json(), fc.constantFrom('{}', '[]', '{', 'null', '{"a":1}')),
  },
];

describe('the checks of the dialogs', () => {
  const node = { _: (key: string) => key, type: 'sample' };

  for (const { name, field, validate, values } of PAIRS) {
    it(`take the ${name} that the runtime takes, and no others`, () => {
      fc.assert(
        fc.property(
          fc.oneof(values, fc.string(), fc.constantFrom('', '  ', '${NAME}', '$(NAME)', '${NAME', 'x${NAME}')),
          (value) => {
            const isTaken = validate.call(node, value, {}) === true;
            assert.equal(isTaken, runtimeTakes(field, value));
          },
        ),
      );
    });
  }

  it('take an environment variable with something that stands in for it', () => {
    assert.equal(check.integer(1, 5).call(node, '${COUNT:-3}', {}), true);
    assert.deepEqual(check.variableOf('${QUEUE:-a.b}'), { name: 'QUEUE', otherwise: 'a.b' });
  });

  it('want something where the runtime does', () => {
    assert.notEqual(check.required().call(node, ' ', {}), true);
    assert.equal(runtimeTakes(text({ required: true }), ' '), false);
  });

  it('name the field in their sentences by its label', () => {
    const validate: Check = check.integer(1, 9);
    const labelled = {
      type: 'sample',
      _def: { defaults: { count: { validate } } },
      _: (key: string) => (key === 'sample.label.count' ? 'How many' : key),
    };
    assert.match(String(validate.call(labelled, '10', {})), /problem\.integer \{"field":"How many","min":1,"max":9\}/);
  });

  it('are told to the editor as validators that answer with a sentence', () => {
    // The editor takes a text for an answer only of functions with two parameters.
    assert.ok([...PAIRS.map(({ validate }) => validate), check.value(() => true)].every(({ length }) => length === 2));
  });
});
