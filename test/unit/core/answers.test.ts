import assert from 'node:assert/strict';
import { asObject, parseJson, retryAfterHeaderMs, waitUntilMs } from '../../../lib/core/answers';

describe('answers of remote systems', () => {
  const now = Date.parse('2026-01-15T10:00:00Z');
  const asked = (header: string, more: Record<string, string> = {}) =>
    retryAfterHeaderMs({ headers: { 'retry-after': header, ...more } }, now);

  it('ask to wait in seconds, or until a date that may be past', () => {
    assert.equal(asked('7'), 7_000);
    assert.equal(asked('0.5'), 500);
    assert.equal(asked('Thu, 15 Jan 2026 10:00:30 GMT'), 30_000);
    assert.equal(asked('Thu, 15 Jan 2026 09:59:30 GMT'), 0);
    assert.equal(asked(''), undefined);
    assert.equal(asked('soon'), undefined);
    assert.equal(retryAfterHeaderMs({ headers: {} }), undefined);
  });

  it('mean dates by their own clock, where they tell it', () => {
    const date = 'Thu, 15 Jan 2026 11:00:00 GMT';
    assert.equal(asked('Thu, 15 Jan 2026 11:00:30 GMT', { date }), 30_000);
    assert.equal(waitUntilMs({ headers: { date } }, now, now), 0);
    assert.equal(waitUntilMs({ headers: {} }, now + 5, now), 5);
  });

  it('are not believed when they ask for more than a day, such as with a time in place of seconds', () => {
    const day = 86_400_000;
    assert.equal(asked(String(now / 1_000)), day);
    assert.equal(asked('Fri, 15 Jan 2027 10:00:00 GMT'), day);
    assert.equal(waitUntilMs({ headers: {} }, now * 1_000, now), day);
  });

  it('hold an object, or what is as good as nothing', () => {
    assert.deepEqual(parseJson('{"a": 1}'), { a: 1 });
    for (const text of ['', 'null', '[1]', '"text"', '{"cut']) assert.equal(parseJson(text), undefined, text);
    for (const value of [undefined, null, [], 'text', 7]) assert.equal(asObject(value), undefined, String(value));
  });
});
