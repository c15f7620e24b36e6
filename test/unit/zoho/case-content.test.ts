import assert from 'node:assert/strict';
import fc from 'fast-check';
import { buildContent, MESSAGE_BORDER, renderTemplate } from '../../../lib/zoho/case-content';
import { Lessons } from '../../../lib/zoho/lessons';
import { conversation, SETTINGS } from './harness';

const build = (transcript: string, settings: Partial<typeof SETTINGS> = {}) =>
  buildContent({ ...conversation('abc'), transcript }, { ...SETTINGS, ...settings }, undefined, new Lessons());

/** Surrogates that stand alone. */
const loneHalves = (text: string) =>
  text.match(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g) ?? [];

const message = fc
  .tuple(
    fc.constantFrom('User', 'Assistant'),
    fc.string({
      unit: fc.constantFrom('a', 'ä', '\u{1F600}', '\ud83d', '\ude00', '漢', '\u0000', ' ', '\n', '\n\n', 'User [x]: '),
      maxLength: 3_000,
    }),
  )
  .map(([speaker, text]) => `${speaker} [2026-01-15 10:00:00]: ${text}`);
const transcripts = fc.array(message, { minLength: 1, maxLength: 60 }).map((messages) => messages.join('\n\n'));

describe('content of a Case', () => {
  it('never exceeds what Zoho takes, whatever the transcript', () => {
    fc.assert(
      fc.property(
        transcripts,
        fc.boolean(),
        fc.constantFrom('attachment' as const, 'note' as const),
        (text, note, long) => {
          const { update, subject, notes, attachment } = build(text, { note, longTranscript: long });
          const description = String(update['Description']);
          assert.ok(description.length <= 32_000 && subject.length <= 255);
          const told = [description, ...notes.map(({ content }) => content)];
          assert.ok(told.every((each) => loneHalves(each).length <= loneHalves(text).length));
          assert.ok(notes.every(({ title, content }) => title.length <= 120 && content.length <= 32_000));
          const isCut = description !== text;
          // What does not fit is whole somewhere else.
          if (isCut && long === 'attachment') assert.equal(attachment?.content, text);
          if (isCut && long === 'note') assert.ok(notes.length > 1);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('cuts between two messages', () => {
    fc.assert(
      fc.property(transcripts, (text) => {
        const description = String(build(text).update['Description']);
        if (description === text) return;
        const [kept = ''] = description.split('\n\n[Cut here: the whole');
        assert.ok(text.startsWith(kept));
        assert.equal(text.slice(kept.length).search(MESSAGE_BORDER), 0);
      }),
      { numRuns: 60 },
    );
  });

  it('cuts a single message of a megabyte inside, and not inside a character', () => {
    const text = `User [2026-01-15 10:00:00]: ${'\u{1F600}'.repeat(500_000)}`;
    const { update, attachment } = build(text);
    assert.ok(String(update['Description']).length <= 32_000);
    assert.doesNotMatch(String(update['Description']), /[\ud800-\udbff](?![\udc00-\udfff])/);
    assert.equal(attachment?.content, text);
  });

  it('has another hash for another content, and the same for the same', () => {
    assert.equal(build('User: a').hash, build('User: a').hash);
    assert.notEqual(build('User: a').hash, build('User: b').hash);
    assert.notEqual(build('User: a').hash, build('User: a', { note: true }).hash);
  });

  it('fills in a template, and leaves alone what it does not know', () => {
    const text = renderTemplate(
      '{name} ({conversation_id}), {message_count} messages {nonsense} {constructor} {a b}\n{transcript}',
      conversation('abc'),
      'T {name}',
    );
    assert.equal(text, 'A question (abc), 2 messages {nonsense} {constructor} {a b}\nT {name}');
  });

  it('takes the time of the conversation for the Subject, in the zone of choice', () => {
    const subject = build('x', { timeZone: 'Asia/Tokyo', subjectPrefix: 'Cody Conversation:' }).subject;
    assert.equal(subject, 'Cody Conversation: 2026-01-15 19:00');
    assert.equal(build('x', { subjectPrefix: '' }).subject, '2026-01-15 10:00');
    assert.equal(build('x', { subjectPrefix: 'p'.repeat(300) }).subject.length, 255);
  });

  it('cuts a template that is too long by itself', () => {
    assert.equal(String(build('x', { descriptionTemplate: 'y'.repeat(40_000) }).update['Description']).length, 32_000);
  });
});
