import { createHash } from 'node:crypto';
import { localTime } from '../core/local-time';
import { cutText, splitText } from '../core/text';
import { type CaseSettings, type CaseSource, idFieldOf } from './case-settings';
import type { CaseConversation } from './conversation';
import type { CaseSchema, ZohoField } from './schema';

/** A Note, as it is to be. Its title ends with a mark of the content, by which it is found again. */
export interface NoteContent {
  title: string;
  content: string;
}

/** A file with the whole transcript. Its name holds a mark of the content. */
export interface AttachmentContent {
  name: string;
  content: string;
}

/** What a conversation is in Zoho. */
export interface CaseContent {
  subject: string;
  /** The fields of a new Case, without its contact. */
  create: Record<string, unknown>;
  /** The fields that follow the conversation when it grows; what people work with (Status, Subject) stays theirs. */
  update: Record<string, unknown>;
  notes: NoteContent[];
  attachment: AttachmentContent | undefined;
  /** The same for the same conversation and settings, so that nothing is written twice. */
  hash: string;
  /** Custom fields that Zoho does not have. */
  missing: string[];
}

/** Limits that Zoho has told in an error, by the API name of the field. */
export interface LearnedLimits {
  lengths: ReadonlyMap<string, number>;
  /** `integer`, `double`, `text`, … */
  types: ReadonlyMap<string, string>;
}

const SUBJECT_LENGTH = 255;
const DESCRIPTION_LENGTH = 32_000;
const NOTE_TITLE_LENGTH = 120;
const NOTE_CONTENT_LENGTH = 32_000;
/** Room for the word that a Note was cut. */
const NOTE_RESERVE = 200;
/** A message of a transcript begins like `User [2026-01-15 10:00:00]: `. */
export const MESSAGE_BORDER = /\n\n(?=[^\n[\]]{1,40} \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]: )/;

/** Makes the content of a Case. It is pure: the same input gives the same content. */
export function buildContent(
  conversation: CaseConversation,
  settings: CaseSettings,
  schema: CaseSchema,
  learned: LearnedLimits,
): CaseContent {
  const limit = (field: string, usual: number) => Math.min(usual, learned.lengths.get(field) ?? usual);
  const { transcript } = conversation;
  const mark = hash(transcript).slice(0, 8);
  const subject = cutText(subjectOf(conversation, settings), limit('Subject', SUBJECT_LENGTH));
  const most = limit('Description', schema?.get('Description')?.length ?? DESCRIPTION_LENGTH);
  const place = settings.longTranscript === 'note' ? 'is in a Note' : `is attached as ${fileName(mark)}`;
  const description = describe(conversation, settings, Math.min(most, DESCRIPTION_LENGTH), place);
  const noteLength = limit('Note_Content', NOTE_CONTENT_LENGTH);
  const isCut = description.isCut || (settings.note && transcript.length > noteLength - NOTE_RESERVE);
  const isAttached = isCut && settings.longTranscript === 'attachment';
  const isNoted = settings.note || (description.isCut && settings.longTranscript === 'note');
  const { values, missing } = customFields(conversation, settings, schema, learned);
  const update = { Description: description.text, ...values };
  const create = { Subject: subject, Status: settings.status, Case_Origin: settings.origin, ...update };
  const notes = isNoted
    ? notesOf(transcript, subject, mark, {
        title: limit('Note_Title', NOTE_TITLE_LENGTH),
        content: noteLength,
        isWhole: settings.longTranscript === 'note',
      })
    : [];
  const attachment = isAttached ? { name: fileName(mark), content: transcript } : undefined;
  return { subject, create, update, notes, attachment, missing, hash: contentHash(conversation, settings) };
}

/**
 * Fills in `{transcript}`, `{conversation_id}`, `{name}`, `{bot_id}`, `{created_at}`, `{message_count}`,
 * `{user_messages}`, `{assistant_messages}`, `{total_characters}`, `{average_message_length}` and `{duration}` (in
 * seconds). Anything else in braces stays as it is.
 */
export function renderTemplate(template: string, conversation: CaseConversation, transcript: string): string {
  const { id, name, botId, createdAt, metrics } = conversation;
  const values: Record<string, string | number> = {
    transcript,
    conversation_id: id,
    name,
    bot_id: botId,
    created_at: createdAt,
    message_count: metrics.messageCount,
    user_messages: metrics.userMessages,
    assistant_messages: metrics.assistantMessages,
    total_characters: metrics.totalCharacters,
    average_message_length: metrics.averageMessageLength,
    duration: metrics.durationSeconds,
  };
  return template.replace(/\{(\w+)\}/g, (whole, word: string) =>
    Object.hasOwn(values, word) ? String(values[word]) : whole,
  );
}

function subjectOf({ createdAt }: CaseConversation, { subjectPrefix, timeZone }: CaseSettings): string {
  const { date, time } = localTime(Date.parse(createdAt), timeZone);
  return `${subjectPrefix.trimEnd()} ${date} ${time.slice(0, 5)}`.trimStart();
}

/** The Description; a transcript that does not fit into it is cut between two messages. */
function describe(
  conversation: CaseConversation,
  { descriptionTemplate }: CaseSettings,
  limit: number,
  place: string,
): { text: string; isCut: boolean } {
  const { transcript } = conversation;
  const whole = renderTemplate(descriptionTemplate, conversation, transcript);
  if (whole.length <= limit) return { text: whole, isCut: false };
  const around = renderTemplate(descriptionTemplate, conversation, '').length;
  const ending = `\n\n[Cut here: the whole transcript has ${transcript.length} characters and ${place}.]`;
  const times = descriptionTemplate.split('{transcript}').length - 1;
  const room = Math.floor((limit - around) / Math.max(1, times)) - ending.length;
  // A template that leaves no room for a transcript is cut itself.
  if (times === 0 || room < 100) return { text: cutText(whole, limit), isCut: times > 0 };
  const beginning = cutText(transcript, room, MESSAGE_BORDER);
  return { text: renderTemplate(descriptionTemplate, conversation, beginning + ending), isCut: true };
}

function notesOf(
  transcript: string,
  subject: string,
  mark: string,
  limits: { title: number; content: number; isWhole: boolean },
): NoteContent[] {
  const parts = splitText(transcript, limits.content - NOTE_RESERVE, MESSAGE_BORDER);
  const shown = limits.isWhole ? parts : parts.slice(0, 1);
  return shown.map((part, index) => {
    const number = shown.length > 1 ? ` (${index + 1}/${shown.length})` : '';
    const ending = ` [${mark}]${number}`;
    const begin = cutText(`Conversation Transcript - ${subject}`, limits.title - ending.length);
    const isCut = !limits.isWhole && parts.length > 1;
    const cut = isCut
      ? `\n\n[Cut here: the whole transcript has ${transcript.length} characters and is attached.]`
      : '';
    // Between parts stands an empty line, which the part after it need not begin with.
    return { title: begin.trimEnd() + ending, content: part.trimStart() + cut };
  });
}

function customFields(
  conversation: CaseConversation,
  settings: CaseSettings,
  schema: CaseSchema,
  { types }: LearnedLimits,
): { values: Record<string, unknown>; missing: string[] } {
  const values: Record<string, unknown> = {};
  const missing: string[] = [];
  const idField = idFieldOf(settings);
  for (const { source, field } of settings.fields) {
    const known = schema?.get(field);
    // Zoho leaves out what it does not know without a word; without the list of its fields we cannot tell.
    if (schema && !known && field !== idField) missing.push(field);
    else values[field] = converted(sourceValue(conversation, source), typeOf(known) ?? types.get(field), known);
  }
  return { values, missing };
}

function sourceValue(conversation: CaseConversation, source: CaseSource): string | number {
  if (source === 'id' || source === 'name' || source === 'botId' || source === 'createdAt') return conversation[source];
  return conversation.metrics[source];
}

function typeOf(field: ZohoField | undefined): string | undefined {
  return field && (field.dataType === 'datetime' || field.dataType === 'date' ? field.dataType : field.jsonType);
}

/** Texts for text fields, numbers for number fields: Zoho converts nothing. */
function converted(value: string | number, type: string | undefined, field: ZohoField | undefined): unknown {
  if (type === 'integer' || type === 'double' || type === 'bigint' || type === 'decimal' || type === 'long') {
    return Number(value);
  }
  if (type === 'datetime') return `${String(value).slice(0, 19)}+00:00`;
  if (type === 'date') return String(value).slice(0, 10);
  return field?.length === undefined ? String(value) : cutText(String(value), Math.max(2, field.length));
}

/** Not made of the fields themselves: their form may change when Zoho tells of a limit. */
function contentHash(conversation: CaseConversation, settings: CaseSettings): string {
  const { descriptionTemplate, fields, note, longTranscript } = settings;
  return hash(JSON.stringify([conversation, descriptionTemplate, fields, note, longTranscript])).slice(0, 32);
}

function fileName(mark: string): string {
  return `transcript-${mark}.txt`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
