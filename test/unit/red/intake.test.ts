import assert from 'node:assert/strict';
import { type DeliveryOutcome, DeliverySource } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import { IntakeMessage } from '../../../lib/red/intake';

const lasting = new ContactError('REJECTED', { attempted: 'index a document' });
const passing = new ContactError('BUFFER_FULL', { attempted: 'take a document in' });
const dropped = new ContactError('BUFFER_FULL', { attempted: 'take a document in', retryable: false });

describe('a message with several documents', () => {
  let outcomes: DeliveryOutcome[];
  let done: (Error | undefined)[];
  const take = (documents: number, settle = true) => {
    outcomes = [];
    done = [];
    const source = new DeliverySource<string>({ name: 'test', settle: (_token, outcome) => outcomes.push(outcome) });
    const message = { delivery: source.open('token') };
    return new IntakeMessage(message, documents, settle, (error) => done.push(error));
  };

  it('is done once, when the last of them has ended', () => {
    const intake = take(3);
    intake.ended();
    intake.ended();
    assert.deepEqual([done, outcomes], [[], []]);
    intake.ended();
    intake.ended();
    assert.deepEqual(done, [undefined]);
    assert.deepEqual(outcomes, [{ kind: 'acknowledge' }]);
  });

  it('is done at once when there are none', () => {
    take(0);
    assert.deepEqual(done, [undefined]);
  });

  for (const [name, failures, expected] of [
    [
      'a rejected one puts the delivery aside with the reason',
      [lasting, undefined],
      { kind: 'dead-letter', error: lasting },
    ],
    ['one for which there was no room gives it back', [undefined, passing], { kind: 'retry', error: passing }],
    [
      'what may pass counts more than what stays, whichever is first',
      [lasting, passing],
      { kind: 'retry', error: passing },
    ],
    [
      'what may pass counts more than what stays, whichever is last',
      [passing, lasting],
      { kind: 'retry', error: passing },
    ],
    [
      'a dropped one puts it aside: the user wants it so',
      [dropped, undefined],
      { kind: 'dead-letter', error: dropped },
    ],
    ['of two lasting failures the first is told', [lasting, dropped], { kind: 'dead-letter', error: lasting }],
  ] as const) {
    it(name, () => {
      const intake = take(2);
      for (const failure of failures) intake.ended(failure);
      assert.deepEqual(outcomes, [expected]);
      assert.deepEqual(done, [expected.error]);
    });
  }

  it('leaves the delivery alone when another node settles it', () => {
    const intake = take(1, false);
    intake.ended(lasting);
    assert.deepEqual([outcomes, done], [[], [lasting]]);
  });
});
