import assert from 'node:assert/strict';
import { isTimeZone, localTime } from '../../../lib/core/local-time';

describe('local time', () => {
  it('shows a time as a clock in that zone does, with and without daylight saving', () => {
    const winter = Date.UTC(2026, 0, 15, 23, 30, 5);
    assert.deepEqual(localTime(winter, 'Europe/Berlin'), { date: '2026-01-16', time: '00:30:05' });
    assert.deepEqual(localTime(winter, 'UTC'), { date: '2026-01-15', time: '23:30:05' });
    assert.deepEqual(localTime(Date.UTC(2026, 6, 1, 12), 'Europe/Berlin'), { date: '2026-07-01', time: '14:00:00' });
  });

  it('knows which zones there are', () => {
    assert.deepEqual(['Europe/Berlin', 'UTC', 'Nowhere/Land', ''].map(isTimeZone), [true, true, false, false]);
  });
});
