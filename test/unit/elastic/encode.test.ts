import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ContactError } from '../../../lib/core/errors';
import { type DocumentToSend, decodeDocument, encodeDocument } from '../../../lib/elastic/encode';
import { INDEX_PATTERN, IndexName } from '../../../lib/elastic/index-name';

const NOW = Date.parse('2026-03-04T05:06:07Z');
const fixed = new IndexName('events');
const encode = (given: DocumentToSend, operation: 'index' | 'create' = 'index') =>
  encodeDocument(given, operation, fixed, NOW);
const isInvalid = (pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof ContactError);
  assert.equal(thrown.code, 'INVALID_INPUT');
  assert.match(thrown.message, pattern);
  return true;
};

describe('a document on its way into a bulk request', () => {
  it('is two lines: what to do with it, and itself', () => {
    assert.equal(
      encode({ document: { n: 1 }, id: 'one' }, 'create'),
      '{"create":{"_index":"events","_id":"one"}}\n{"n":1}\n',
    );
  });

  it('stays two lines whatever is in it, and can be read back', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(fc.dictionary(text, fc.jsonValue()), fc.string({ minLength: 1, maxLength: 128 }), (document, id) => {
        const body = encode({ document, id, index: 'other' });
        assert.equal(body.split('\n').length, 3);
        const back = decodeDocument(body);
        assert.deepEqual(back, { document: JSON.parse(JSON.stringify(document)), id, index: 'other' });
      }),
    );
  });

  it('may be given as the JSON text of an object, also over several lines, and as bytes', () => {
    const text = JSON.stringify({ a: [1, 2], b: 'ü' }, undefined, 2);
    for (const document of [text, Buffer.from(text)]) {
      assert.equal(encode({ document, id: 'x' }).split('\n')[1], '{"a":[1,2],"b":"ü"}');
    }
  });

  it('gets an id of its own when it has none, so that sending it twice stores it once', () => {
    const ids = [undefined, null, '', undefined].map((id) => decodeDocument(encode({ document: {}, id })).id);
    assert.equal(new Set(ids).size, 4);
    assert.ok(ids.every((id) => id.length > 10));
  });

  it('may have a number for an id', () => {
    assert.equal(decodeDocument(encode({ document: {}, id: 0 })).id, '0');
  });

  it('is refused with an id that Elasticsearch would fail the whole request for', () => {
    encode({ document: {}, id: 'é'.repeat(256) });
    assert.throws(() => encode({ document: {}, id: 'é'.repeat(257) }), isInvalid(/512 bytes/));
    encode({ document: {}, id: 'e'.repeat(512) });
    assert.throws(() => encode({ document: {}, id: 'e'.repeat(513) }), isInvalid(/512 bytes/));
  });

  it('is refused with an id that would be the same for all', () => {
    for (const id of [{}, [], true])
      assert.throws(() => encode({ document: {}, id }), isInvalid(/its id is of the type/));
  });

  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  for (const [name, document, reason] of [
    ['a number', 42, /payload/],
    ['nothing', undefined, /payload is undefined/],
    ['null', null, /payload/],
    ['a list', [1], /payload/],
    ['text that is no JSON', 'nonsense', /not JSON/],
    ['the JSON of a list', '[1]', /payload/],
    ['the JSON of a text', '"x"', /payload/],
    ['a date, which becomes a text', new Date(0), /payload/],
    ['an object that becomes nothing', { toJSON: () => undefined }, /payload/],
    ['an object in a circle', circle, /circular/],
    ['an object with a number that JSON does not know', { n: 1n }, /BigInt/],
    ['bytes that are no JSON', Buffer.from([0xff, 0x00]), /not JSON/],
  ] as const) {
    it(`is refused when it is ${name}`, () => {
      assert.throws(() => encode({ document }), isInvalid(reason));
    });
  }

  it('goes into the index that its message names, as it is named', () => {
    assert.equal(decodeDocument(encode({ document: {}, index: 'Else{yyyy}' })).index, 'Else{yyyy}');
    for (const index of ['', 7, null]) assert.equal(decodeDocument(encode({ document: {}, index })).index, 'events');
  });
});

describe('the name of an index', () => {
  const name = (pattern: string, timestamp?: unknown) => new IndexName(pattern).at(timestamp, NOW);

  it('holds the date of the document in UTC', () => {
    assert.equal(name('a-{yyyy.MM.dd}', '2026-12-31T23:59:59.999Z'), 'a-2026.12.31');
    assert.equal(name('a-{yyyy.MM.dd}', '2026-12-31T23:59:59-05:00'), 'a-2027.01.01');
    assert.equal(name('{yyyy}-{MM}_{dd}t{HH}', Date.parse('2026-01-02T03:04:05Z')), '2026-01_02t03');
    assert.equal(name('a-{yyyy-MM}', new Date('2026-01-02T03:04:05Z')), 'a-2026-01');
  });

  it('takes a time without a zone for UTC, as Elasticsearch does, wherever this machine is', () => {
    const before = process.env['TZ'];
    try {
      for (const zone of ['Pacific/Kiritimati', 'America/Los_Angeles']) {
        process.env['TZ'] = zone;
        assert.equal(name('{yyyy.MM.dd}', '2026-05-06T00:30:00'), '2026.05.06');
        assert.equal(name('{yyyy.MM.dd}', '2026-05-06T23:30:00.123'), '2026.05.06');
        assert.equal(name('{yyyy.MM.dd}', '2026-05-06'), '2026.05.06');
      }
    } finally {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    }
  });

  it('holds the time of arrival when the document has no usable one', () => {
    for (const timestamp of [undefined, null, 'soon', Number.NaN, {}, '+012345-01-01T00:00:00Z', 8.64e15, -8.64e15]) {
      assert.equal(name('{yyyy.MM.dd}', timestamp), '2026.03.04');
    }
  });

  it('changes at the hour, back and forth', () => {
    const index = new IndexName('{yyyy.MM.dd.HH}');
    const times = ['2026-01-01T23:59:59Z', '2026-01-02T00:00:00Z', '2026-01-01T23:00:00Z'];
    assert.deepEqual(
      times.map((time) => index.at(time, NOW)),
      ['2026.01.01.23', '2026.01.02.00', '2026.01.01.23'],
    );
  });

  it('is the same for all without a date in it', () => {
    assert.equal(name('genesys-audiohook', '2020-01-01'), 'genesys-audiohook');
  });

  it('is checked beforehand for what Elasticsearch does not take', () => {
    for (const right of [
      'a',
      '.hidden',
      'logs-audiohook-default',
      'a-{yyyy.MM.dd}',
      '{yyyy}',
      'ü_1',
      'a.{yyyy-MM}.b',
    ]) {
      assert.match(right, INDEX_PATTERN);
    }
    for (const wrong of [
      'A',
      '-a',
      '_a',
      '+a',
      'a b',
      'a,b',
      'a*',
      'a/b',
      'a#',
      'a:b',
      'a-{YYYY.MM.dd}',
      'a-{yyyy',
      'a}',
      'a-{}',
      'a-{now/d}',
    ]) {
      assert.doesNotMatch(wrong, INDEX_PATTERN);
    }
  });
});
