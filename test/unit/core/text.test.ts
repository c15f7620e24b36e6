import assert from 'node:assert/strict';
import fc from 'fast-check';
import { cutText, splitText } from '../../../lib/core/text';

const BORDER = /\n\n(?=- )/;
const characters = fc.constantFrom(
  'a',
  'ä',
  ' ',
  '\n',
  '\n\n- ',
  '\u{1F600}',
  '👩‍👩‍👧',
  '\ud83d',
  '\ude00',
  '漢',
  '\u0000',
);
const texts = fc.string({ unit: characters, maxLength: 400 });

/** Surrogates that stand alone. */
const loneHalves = (text: string) =>
  text.match(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g) ?? [];

describe('splitting a text', () => {
  it('gives parts that are short enough and together are the text', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 2, max: 60 }), (text, limit) => {
        const parts = splitText(text, limit, BORDER);
        assert.equal(parts.join(''), text);
        assert.ok(parts.every((part) => part.length <= limit));
        assert.ok(parts.slice(0, -1).every((part) => part.length > 0));
      }),
    );
  });

  it('never divides a character', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 2, max: 60 }), (text, limit) => {
        const halves = splitText(text, limit, BORDER).flatMap(loneHalves);
        assert.equal(halves.length, loneHalves(text).length);
      }),
    );
  });

  it('divides before a border where there is one, else after a line, else after a word', () => {
    assert.deepEqual(splitText('- one\n\n- two\n\n- three', 14, BORDER), ['- one\n\n- two', '\n\n- three']);
    assert.deepEqual(splitText('first line\nsecond line', 15), ['first line\n', 'second line']);
    assert.deepEqual(splitText('some words here', 12), ['some words ', 'here']);
    assert.deepEqual(splitText('abcdef', 4), ['abcd', 'ef']);
    assert.deepEqual(splitText('', 4), ['']);
  });

  it('sees a border that begins exactly at the limit', () => {
    assert.equal(cutText('- one\n\n- two', 5, BORDER), '- one');
  });

  it('is done at once with a megabyte without any border', () => {
    assert.equal(splitText('x'.repeat(1_000_000), 32_000, BORDER).length, 32);
  });
});
