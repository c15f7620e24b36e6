import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CodyMessage, inOrder, readMessage } from '../../../lib/cody/shapes';
import { contentHash, emittedConversation, measure, transcriptOf } from '../../../lib/cody/transcript';

const AT = Date.UTC(2026, 0, 15, 10, 0, 0);
const message = (number: number, parts: Partial<CodyMessage> = {}): CodyMessage => ({
  id: `m${number}`,
  content: `text ${number}`,
  machine: number % 2 === 1,
  failed: false,
  flagged: false,
  createdAt: AT + number * 1_000,
  ...parts,
});

const characters = fc.constantFrom(
  'a',
  'ä',
  '\u{1F600}',
  '\ud83d',
  '\n',
  ' ',
  '漢',
  '[',
  ']',
  ': ',
  '👩‍👩‍👧',
  '\u0000',
);
const messages = fc.array(
  fc.record({
    content: fc.string({ unit: characters, maxLength: 60 }),
    machine: fc.boolean(),
    failed: fc.boolean(),
    seconds: fc.integer({ min: 0, max: 5 }),
  }),
  { minLength: 1, maxLength: 30 },
);

describe('transcript', () => {
  it('names speakers by the machine flag, with times in the zone of choice', () => {
    const text = transcriptOf([message(0), message(1)], 'Europe/Berlin');
    assert.equal(text, 'User [2026-01-15 11:00:00]: text 0\n\nAssistant [2026-01-15 11:00:01]: text 1');
  });

  it('marks an answer that could not be made', () => {
    assert.match(
      transcriptOf([message(1, { failed: true })], 'UTC'),
      /^Assistant \(failed\) \[2026-01-15 10:00:01\]: text 1$/,
    );
  });

  it('holds every message whole, in the order of their times, whatever order they came in', () => {
    fc.assert(
      fc.property(messages, fc.integer(), (given, seed) => {
        const written = given
          .map(({ seconds, ...parts }, number) => message(number, { ...parts, createdAt: AT + seconds * 1_000 }))
          .toSorted((one, other) => one.createdAt - other.createdAt);
        for (const newestFirst of [false, true]) {
          const arrived = newestFirst ? written.toReversed() : written;
          assert.deepEqual(inOrder(arrived, newestFirst), written);
        }
        const shuffled = written.toSorted(
          (one, other) => ((one.id.length * seed) % 7) - ((other.id.length * seed) % 7),
        );
        const times = inOrder(shuffled, false).map(({ createdAt }) => createdAt);
        assert.deepEqual(
          times,
          times.toSorted((one, other) => one - other),
        );
        const text = transcriptOf(written, 'UTC');
        let from = 0;
        for (const { content } of written) {
          from = text.indexOf(`]: ${content}`, from);
          assert.ok(from >= 0);
        }
      }),
    );
  });

  it('takes a message that stands on two pages once', () => {
    assert.deepEqual(inOrder([message(0), message(1), message(0)], false), [message(0), message(1)]);
  });

  it('is done at once with messages of a megabyte', () => {
    const big = Array.from({ length: 5 }, (_, number) => message(number, { content: '\u{1F600}'.repeat(500_000) }));
    assert.equal(measure(big).totalCharacters, 2_500_000);
    assert.ok(transcriptOf(big, 'UTC').length > 5_000_000);
    assert.equal(contentHash(big).length, 22);
  });

  it('counts messages, characters as a person does, and the time between the first and the last', () => {
    const metrics = measure([
      message(0, { content: '  Grüße 😀  ' }),
      message(1, { content: 'ab' }),
      message(4, { content: '' }),
    ]);
    assert.deepEqual(metrics, {
      messageCount: 3,
      userMessages: 2,
      assistantMessages: 1,
      totalCharacters: 9,
      averageMessageLength: 3,
      durationSeconds: 4,
    });
    assert.equal(measure([]).averageMessageLength, 0);
  });

  it('has another hash as soon as anything was said, and the same for the same messages', () => {
    assert.equal(contentHash([message(0)]), contentHash([message(0)]));
    assert.notEqual(contentHash([message(0)]), contentHash([message(0), message(1)]));
    assert.notEqual(contentHash([message(0)]), contentHash([message(0, { content: 'edited' })]));
  });

  it('has the same hash in whatever order the messages came', () => {
    const shuffled = messages.chain((given) => {
      const written = given.map(({ seconds, ...parts }, number) =>
        message(number, { ...parts, createdAt: AT + seconds * 1_000 }),
      );
      return fc.tuple(
        fc.constant(written),
        fc.shuffledSubarray(written, { minLength: written.length, maxLength: written.length }),
      );
    });
    fc.assert(
      fc.property(shuffled, fc.boolean(), ([written, arrived], newestFirst) => {
        assert.equal(contentHash(inOrder(arrived, newestFirst)), contentHash(written));
      }),
    );
  });

  it('emits what a flow needs, as plain JSON', () => {
    const conversation = { id: 'c', name: 'A question', botId: 'bot', createdAt: AT };
    const emitted = emittedConversation(conversation, [message(0), message(1)], 'UTC');
    assert.deepEqual(JSON.parse(JSON.stringify(emitted)), emitted);
    assert.deepEqual(emitted.messages[1], {
      id: 'm1',
      speaker: 'Assistant',
      machine: true,
      content: 'text 1',
      createdAt: '2026-01-15T10:00:01.000Z',
      failed: false,
      flagged: false,
    });
  });

  it('reads what Cody sends: seconds, missing parts, texts where numbers are meant', () => {
    const read = readMessage({ id: 'm', content: null, machine: true, created_at: 1_700_000_000 });
    assert.deepEqual(read, {
      id: 'm',
      content: '',
      machine: true,
      failed: false,
      flagged: false,
      createdAt: 1_700_000_000_000,
    });
    assert.equal(readMessage({ id: 5, created_at: '2026-01-15T10:00:00Z' })?.createdAt, AT);
    assert.equal(readMessage({ content: 'no id' }), undefined);
  });
});
