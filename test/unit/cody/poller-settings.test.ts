import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readStart, scopeOf } from '../../../lib/cody/poller-settings';

describe('settings of the poller', () => {
  it('read a start: two words, a day, a time', () => {
    assert.deepEqual([readStart('now'), readStart('ALL')], ['now', 'all']);
    assert.deepEqual(readStart('2026-01-31'), { date: Date.UTC(2026, 0, 31) });
    assert.deepEqual(readStart('2026-01-31T10:00:00+02:00'), { date: Date.UTC(2026, 0, 31, 8) });
  });

  it('refuse what is neither, and days that do not exist', () => {
    for (const wrong of ['yesterday', '31.1.2026', '2026-13-01', '2026-01-32', '2026-01-31T25:00:00Z', 'now!', '']) {
      assert.throws(() => readStart(wrong), /be now, all, or a date such as 2026-01-31/, wrong);
    }
  });

  it('have a scope for each account and bot', () => {
    const bot = fc.option(fc.string(), { nil: undefined });
    fc.assert(
      fc.property(fc.string(), bot, fc.string(), bot, (account, botId, otherAccount, otherBot) => {
        const isSame = account === otherAccount && botId === otherBot;
        assert.equal(scopeOf(account, botId) === scopeOf(otherAccount, otherBot), isSame);
        assert.equal(scopeOf(account, botId), scopeOf(account, botId));
      }),
    );
  });
});
