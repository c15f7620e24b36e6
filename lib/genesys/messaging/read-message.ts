import { asObject, parseJson } from '../../core/answers';
import { ContactError } from '../../core/errors';
import type { Attachment, IdentityType, MediaType, MessageMode, OutgoingMessage, Sender } from './message';
import { MESSAGE_MODES } from './message';
import { mediaTypeOf, mimeOf } from './mime';

/** The largest text that Open Messaging takes, in characters. */
export const LONGEST_TEXT = 2_000;
/** `request.bytes.max` of the platform, less what the envelope of a message needs. */
const LARGEST_MESSAGE_BYTES = 500_000;
/** In bytes: longer ids cannot be keys of every store. */
const LONGEST_ID = 256;
const MEDIA_TYPES: readonly MediaType[] = ['Image', 'Video', 'Audio', 'File', 'Link'];
const IDENTITY_TYPES: readonly IdentityType[] = ['Email', 'Phone', 'Opaque'];
/** What other systems call a file. */
const ALSO_CALLED: Readonly<Record<string, MediaType>> = { document: 'File', sticker: 'Image', voice: 'Audio' };
/** A time zone is required: without one, two machines would read two times. */
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/;

type Json = Record<string, unknown>;

/**
 * Reads a message of the queue `genesys.outbound`: the pack's own form, or that of the original service
 * (`{metadata, genesysPayload}`). Everything that Genesys would refuse is refused here, before any call. Throws
 * `INVALID_INPUT` that names all that is wrong.
 */
export function readMessage(payload: unknown): OutgoingMessage {
  const given = readObject(payload);
  if (!given) throw invalid(['it is no JSON object']);
  const problems: string[] = [];
  const message = 'genesysPayload' in given ? readOriginal(given, problems) : readOwn(given, problems);
  checkContent(message, problems);
  checkMode(message, problems);
  if (problems.length > 0) throw invalid(problems);
  return message;
}

/** The ids of a message that could not be read, as far as it has any: so that its status can be told all the same. */
export function identityOf(payload: unknown): { messageId: string; tenantId: string } | undefined {
  const given = readObject(payload) ?? {};
  const { messageId, tenantId } = 'genesysPayload' in given ? originalIdentity(given) : given;
  const isUsable = (id: unknown): id is string =>
    typeof id === 'string' && id.trim() !== '' && Buffer.byteLength(id) <= LONGEST_ID;
  return isUsable(messageId) && isUsable(tenantId) ? { messageId, tenantId } : undefined;
}

function invalid(problems: readonly string[]): ContactError {
  return new ContactError('INVALID_INPUT', { attempted: 'send the message', answer: problems.join('; ') });
}

/** A message may arrive parsed, as text or as bytes; so may an object in it. */
function readObject(payload: unknown): Json | undefined {
  const isText = typeof payload === 'string' || Buffer.isBuffer(payload);
  return isText ? parseJson(payload.toString()) : asObject(payload);
}

function readOwn(given: Json, problems: string[]): OutgoingMessage {
  const mode = given['mode'] ?? MESSAGE_MODES[0];
  if (!MESSAGE_MODES.includes(mode as MessageMode)) problems.push(`mode must be one of ${MESSAGE_MODES.join(', ')}`);
  const attachments = readContent(given['content'], problems);
  const from = readSender(given['from'], problems);
  return withoutUndefined({
    messageId: requiredId(given, 'messageId', problems),
    tenantId: requiredId(given, 'tenantId', problems),
    organizationId: optionalText(given, 'organizationId', problems),
    mode: mode as MessageMode,
    from,
    to: optionalText(given, 'to', problems),
    conversationId: optionalText(given, 'conversationId', problems),
    communicationId: optionalText(given, 'communicationId', problems),
    text: optionalText(given, 'textBody', problems),
    attachments,
    time: readTime(given['time'], 'time', problems),
    metadata: readMetadata(given['metadata'], problems),
    correlationId: optionalText(given, 'correlationId', problems),
  });
}

/** The form of the original service, which posted its payload to the vendor's older call as it was. */
function readOriginal(given: Json, problems: string[]): OutgoingMessage {
  const { metadata, payload, channel, messageId, tenantId } = originalIdentity(given);
  const to = readObject(channel['to']) ?? {};
  const { direction = 'Inbound', type = 'Text' } = payload;
  if (direction !== 'Inbound') problems.push('genesysPayload.direction must be Inbound');
  if (type !== 'Text') problems.push('genesysPayload.type must be Text');
  return withoutUndefined({
    messageId: requiredId(
      { 'genesysPayload.channel.messageId': messageId },
      'genesysPayload.channel.messageId',
      problems,
    ),
    tenantId: requiredId({ 'metadata.tenantId': tenantId }, 'metadata.tenantId', problems),
    integrationId: optionalText(to, 'id', problems),
    mode: 'inbound' as const,
    from: readSender(channel['from'], problems),
    text: optionalText(payload, 'text', problems),
    attachments: readContent(payload['content'], problems),
    time: readTime(channel['time'], 'genesysPayload.channel.time', problems),
    metadata: readMetadata(payload['metadata'], problems),
    correlationId: optionalText(metadata, 'correlationId', problems),
  });
}

/** The parts of a message of the original service, and the ids it has wherever they stand. */
function originalIdentity(given: Json): {
  metadata: Json;
  payload: Json;
  channel: Json;
  messageId: unknown;
  tenantId: unknown;
} {
  const metadata = readObject(given['metadata']) ?? {};
  const payload = readObject(given['genesysPayload']) ?? {};
  const channel = readObject(payload['channel']) ?? {};
  const messageId = channel['messageId'] ?? payload['id'] ?? metadata['whatsapp_message_id'];
  return { metadata, payload, channel, messageId, tenantId: metadata['tenantId'] };
}

function checkContent({ text, attachments }: OutgoingMessage, problems: string[]): void {
  if (text === undefined && attachments.length === 0) problems.push('it has neither text nor content');
  if (text !== undefined && text.length > LONGEST_TEXT) {
    problems.push(`the text has ${text.length} characters, and ${LONGEST_TEXT} are the most that Genesys takes`);
  }
  const bytes = Buffer.byteLength(JSON.stringify(attachments));
  if (bytes > LARGEST_MESSAGE_BYTES) {
    problems.push(`the content has ${bytes} bytes, and ${LARGEST_MESSAGE_BYTES} are the most that Genesys takes`);
  }
}

/** What each mode needs, and cannot do. */
function checkMode(message: OutgoingMessage, problems: string[]): void {
  const { mode, from, to, text, attachments, conversationId } = message;
  if (mode === 'inbound' && !from) problems.push('from.id, the customer, is required with the mode inbound');
  if (mode === 'agentless') {
    if (!to) problems.push('to, the customer, is required with the mode agentless');
    if (text === undefined || attachments.length > 0) {
      problems.push('with the mode agentless only a text can be sent: files need an agent in the conversation');
    }
  }
  if (mode === 'agent' && !conversationId) problems.push('conversationId is required with the mode agent');
}

function readSender(given: unknown, problems: string[]): Sender | undefined {
  if (given === undefined || given === null) return undefined;
  const from = readObject(given);
  const id = from?.['id'];
  if (!from || typeof id !== 'string' || id.trim() === '') {
    problems.push('from.id must be a text that is not empty');
    return undefined;
  }
  const { idType = guessIdentityType(id) } = from;
  if (!IDENTITY_TYPES.includes(idType as IdentityType)) {
    problems.push(`from.idType must be one of ${IDENTITY_TYPES.join(', ')}`);
  }
  return withoutUndefined({
    id,
    idType: idType as IdentityType,
    nickname: optionalText(from, 'nickname', problems),
    firstName: optionalText(from, 'firstName', problems),
    lastName: optionalText(from, 'lastName', problems),
  });
}

function guessIdentityType(id: string): IdentityType {
  if (/^\+?\d{6,15}$/.test(id)) return 'Phone';
  return /^[^\s@]+@[^\s@]+$/.test(id) ? 'Email' : 'Opaque';
}

function readContent(given: unknown, problems: string[]): Attachment[] {
  if (given === undefined || given === null) return [];
  if (!Array.isArray(given)) {
    problems.push('content must be an array');
    return [];
  }
  return given.flatMap((item, index) => readAttachment(item, `content[${index}]`, problems) ?? []);
}

function readAttachment(item: unknown, place: string, problems: string[]): Attachment | undefined {
  const content = readObject(item);
  const attachment = readObject(content?.['attachment']);
  if (!content || !attachment || (content['contentType'] ?? 'Attachment') !== 'Attachment') {
    problems.push(`${place} must be {"contentType": "Attachment", "attachment": {...}}`);
    return undefined;
  }
  const { url } = attachment;
  if (typeof url !== 'string' || !/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    problems.push(`${place}.attachment.url must be an address that begins with http:// or https://`);
    return undefined;
  }
  const filename = optionalText(attachment, 'filename', problems);
  const mime = optionalText(attachment, 'mime', problems) ?? mimeOf(filename, url);
  const mediaType = readMediaType(attachment['mediaType'], mime);
  if (!mediaType) problems.push(`${place}.attachment.mediaType must be one of ${MEDIA_TYPES.join(', ')}`);
  return withoutUndefined({
    mediaType: mediaType ?? 'File',
    url,
    mime,
    id: optionalText(attachment, 'id', problems),
    filename,
  });
}

function readMediaType(given: unknown, mime: string): MediaType | undefined {
  if (given === undefined || given === null || given === '') return mediaTypeOf(mime);
  if (typeof given !== 'string') return undefined;
  const word = given.toLowerCase();
  return MEDIA_TYPES.find((type) => type.toLowerCase() === word) ?? ALSO_CALLED[word];
}

function readTime(given: unknown, name: string, problems: string[]): string | undefined {
  if (given === undefined || given === null || given === '') return undefined;
  if (typeof given === 'string' && MOMENT.test(given) && !Number.isNaN(Date.parse(given))) return given;
  problems.push(`${name} must be a time as ISO 8601 with a time zone, such as 2026-01-15T10:30:45.123Z`);
  return undefined;
}

/** Genesys takes only texts as values. */
function readMetadata(given: unknown, problems: string[]): Record<string, string> | undefined {
  if (given === undefined || given === null) return undefined;
  const metadata = readObject(given);
  if (!metadata) {
    problems.push('metadata must be an object');
    return undefined;
  }
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (value === null || value === undefined) continue;
    if (typeof value === 'object') problems.push(`metadata.${name} must be a text, a number or a switch`);
    else texts[name] = String(value);
  }
  return Object.keys(texts).length > 0 ? texts : undefined;
}

function requiredId(given: Json, name: string, problems: string[]): string {
  const value = optionalText(given, name, problems);
  if (value === undefined) problems.push(`${name} is required`);
  else if (Buffer.byteLength(value) > LONGEST_ID) problems.push(`${name} must have at most ${LONGEST_ID} bytes`);
  return value ?? '';
}

function optionalText(given: Json, name: string, problems: string[]): string | undefined {
  const value = given[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return value.trim() === '' ? undefined : value;
  problems.push(`${name} must be a text`);
  return undefined;
}

/** The fields that are set: a field that is `undefined` would be a value for some who look. */
function withoutUndefined<Value extends object>(
  value: {
    [Name in keyof Value]: Value[Name] | undefined;
  },
): WithOptional<Value> {
  return Object.fromEntries(
    Object.entries(value).filter(([, each]) => each !== undefined),
  ) as unknown as WithOptional<Value>;
}

type WithOptional<Value> = {
  [Name in keyof Value as undefined extends Value[Name] ? never : Name]: Value[Name];
} & { [Name in keyof Value as undefined extends Value[Name] ? Name : never]?: Exclude<Value[Name], undefined> };
