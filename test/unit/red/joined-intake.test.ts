import assert from 'node:assert/strict';
import { type DeliveryOutcome, DeliverySource } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import type { IntakeMessage } from '../../../lib/red/intake';
import { JoinedIntake } from '../../../lib/red/joined-intake';

describe('messages that ask for the same', () => {
  let offered: { body: string; intake: IntakeMessage }[];
  let refused: ContactError[];
  let absorbed: number;
  let outcomes: DeliveryOutcome['kind'][];
  let done: (Error | undefined)[];
  let intake: JoinedIntake<object>;
  const source = new DeliverySource<string>({ name: 'test', settle: (_token, { kind }) => outcomes.push(kind) });

  beforeEach(() => {
    offered = [];
    refused = [];
    outcomes = [];
    done = [];
    absorbed = 0;
    intake = new JoinedIntake<object>({
      sink: {
        offer: (body, message) => offered.push({ body, intake: message }),
        absorb: () => {
          absorbed += 1;
        },
        refuse: (_failed, error, message) => {
          refused.push(error);
          message.ended(error);
        },
      },
      settle: true,
      attempted: 'send a thing',
      read: (message) => {
        const { id, text } = message as { id?: string; text?: string };
        if (id === undefined) throw new ContactError('INVALID_INPUT', { attempted: 'send a thing', answer: 'no id' });
        return { id, text };
      },
    });
  });
  const take = (id: string | undefined, text = 'one') =>
    intake.take({ ...(id === undefined ? {} : { id }), text, delivery: source.open('token') }, (error) =>
      done.push(error),
    );

  it('share one sending and its end', () => {
    for (let time = 0; time < 3; time++) assert.equal(take('a'), true);
    assert.deepEqual([offered.length, absorbed, done.length], [1, 2, 0]);
    offered[0]!.intake.ended();
    assert.deepEqual([done, outcomes], [[undefined, undefined, undefined], Array(3).fill('acknowledge')]);
  });

  it('share its failure as well', () => {
    take('a');
    take('a');
    const error = new ContactError('REJECTED', { attempted: 'send a thing' });
    offered[0]!.intake.ended(error);
    assert.deepEqual(
      [done, outcomes],
      [
        [error, error],
        ['dead-letter', 'dead-letter'],
      ],
    );
  });

  it('are sent one by one where they say something else, or are about something else', () => {
    take('a', 'one');
    take('a', 'two');
    take('b', 'two');
    assert.deepEqual(
      offered.map(({ body }) => body),
      ['{"id":"a","text":"one"}', '{"id":"a","text":"two"}', '{"id":"b","text":"two"}'],
    );
    // The end of the older content is not that of the newer one.
    offered[0]!.intake.ended();
    take('a', 'two');
    assert.deepEqual([offered.length, absorbed, done.length], [3, 1, 1]);
  });

  it('are sent again when they come after the end', () => {
    take('a');
    offered[0]!.intake.ended();
    take('a');
    assert.deepEqual([offered.length, absorbed], [2, 0]);
  });

  it('end at once when nothing can be made of them', () => {
    assert.equal(take(undefined), false);
    assert.deepEqual([refused[0]?.code, done, outcomes], ['INVALID_INPUT', [refused[0]], ['dead-letter']]);
    assert.equal(offered.length, 0);
  });
});
