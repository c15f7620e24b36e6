import assert from 'node:assert/strict';
import { decide } from '../../services/requirements';

describe('a service that tests need', () => {
  const required = { required: true, absent: 'It is missing.' };
  const extra = { required: false, absent: 'It is missing.' };

  it('is used where it is there, whatever is required', () => {
    for (const everything of [true, false]) {
      assert.deepEqual(decide('/there', required, everything), { action: 'run', location: '/there' });
      assert.deepEqual(decide('/there', extra, everything), { action: 'run', location: '/there' });
    }
  });

  it('is a skip with its reason where it is missing', () => {
    assert.deepEqual(decide(undefined, required, false), { action: 'skip', reason: 'It is missing.' });
    assert.deepEqual(decide(undefined, extra, false), { action: 'skip', reason: 'It is missing.' });
  });

  it('is a failure where it is missing and REQUIRE_SERVICES asks for everything, extras apart', () => {
    assert.deepEqual(decide(undefined, required, true), { action: 'fail', reason: 'It is missing.' });
    assert.deepEqual(decide(undefined, extra, true), { action: 'skip', reason: 'It is missing.' });
  });
});
