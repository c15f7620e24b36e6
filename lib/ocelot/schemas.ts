/** The part of JSON Schema that the events need. */
export interface Schema {
  type?: string | readonly string[];
  /** A noun phrase: it also ends the sentence "x must be ..." of an error. */
  description?: string;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: boolean;
  items?: Schema;
  enum?: readonly string[];
  const?: string;
  pattern?: string;
  format?: string;
  minLength?: number;
  minimum?: number;
  maximum?: number;
}

/** A plus sign, then up to 15 digits of which the first is not 0 (ITU-T E.164). */
const E164 = '^\\+[1-9][0-9]{1,14}$';

/** Language, script, region, variants, extensions and private use (RFC 5646, section 2.1). */
const BCP47 = [
  '^(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})',
  '(?:-[A-Za-z]{4})?',
  '(?:-(?:[A-Za-z]{2}|[0-9]{3}))?',
  '(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*',
  '(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*',
  '(?:-[xX](?:-[A-Za-z0-9]{1,8})+)?$',
].join('');

/** Words of letters, digits, underscores and dashes with dots between them: part of a routing key. */
export const EVENT_TYPE_PATTERN = '^[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]+)*$';

const id = (what: string): Schema => ({ type: 'string', minLength: 1, description: `the id of ${what}` });
const phoneNumber = (whose: string): Schema => ({
  type: 'string',
  pattern: E164,
  description: `the phone number ${whose} in E.164 form, such as +14155550100`,
});
const count = (what: string): Schema => ({
  type: 'integer',
  minimum: 0,
  description: `the number of ${what}, a whole number from 0`,
});
const share = (what: string): Schema => ({
  type: 'number',
  minimum: 0,
  maximum: 1,
  description: `${what}, a number from 0.0 to 1.0`,
});
const transcript: Schema = { type: ['string', 'null'], description: 'the transcript as a text, or null' };

/** The data of the five event types of a contact center. A property that may be null may also be left out. */
export const DATA_SCHEMAS = {
  'call.started': {
    type: 'object',
    description: 'A call has begun.',
    properties: {
      call_id: id('the call'),
      from_number: phoneNumber('of the caller'),
      to_number: phoneNumber('that is called'),
      campaign_id: { type: ['string', 'null'], description: 'the id of the campaign as a text, or null' },
    },
    required: ['call_id', 'from_number', 'to_number', 'campaign_id'],
    additionalProperties: false,
  },
  'call.ended': {
    type: 'object',
    description: 'A call has ended.',
    properties: {
      call_id: id('the call'),
      duration: { type: 'number', minimum: 0, description: 'the length of the call in seconds, a number from 0' },
      outcome: {
        type: 'string',
        enum: ['completed', 'callback_requested', 'voicemail', 'failed'],
        description: 'one of completed, callback_requested, voicemail, failed',
      },
      transcript,
    },
    required: ['call_id', 'duration', 'outcome', 'transcript'],
    additionalProperties: false,
  },
  'call.transcribed': {
    type: 'object',
    description: 'A part of the transcript of a running call is there.',
    properties: {
      call_id: id('the call'),
      transcript: { type: 'string', description: 'a part of the transcript, as a text' },
      language: { type: 'string', pattern: BCP47, description: 'a language tag as in BCP 47, such as en-US' },
      confidence: share('the confidence'),
    },
    required: ['call_id', 'transcript', 'language', 'confidence'],
    additionalProperties: false,
  },
  'campaign.completed': {
    type: 'object',
    description: 'A campaign has come to its end.',
    properties: {
      campaign_id: id('the campaign'),
      total_calls: count('calls'),
      successful_calls: count('calls that succeeded'),
      failed_calls: count('calls that failed'),
      success_rate: share('the share of calls that succeeded'),
    },
    required: ['campaign_id', 'total_calls', 'successful_calls', 'failed_calls', 'success_rate'],
    additionalProperties: false,
  },
  'sentiment.analyzed': {
    type: 'object',
    description: 'The sentiment of a running call was analyzed.',
    properties: {
      call_id: id('the call'),
      sentiment: {
        type: 'string',
        enum: ['positive', 'neutral', 'negative'],
        description: 'one of positive, neutral, negative',
      },
      score: { type: 'number', minimum: -1, maximum: 1, description: 'a number from -1.0 to 1.0' },
      keywords: { type: 'array', items: { type: 'string', description: 'a text' }, description: 'a list of texts' },
    },
    required: ['call_id', 'sentiment', 'score', 'keywords'],
    additionalProperties: false,
  },
} as const satisfies Record<string, Schema>;

/** An event type whose data have a schema. */
export type KnownEventType = keyof typeof DATA_SCHEMAS;

/** All of them, in the order of the document. */
export const KNOWN_EVENT_TYPES = Object.keys(DATA_SCHEMAS) as KnownEventType[];

/** Whether the data of this type have a schema. */
export function isKnownType(type: string): type is KnownEventType {
  return Object.hasOwn(DATA_SCHEMAS, type);
}

/** What stands around the data of every event. */
export const ENVELOPE_SCHEMA: Schema = {
  type: 'object',
  description: 'An event of the platform.',
  properties: {
    id: { type: 'string', format: 'uuid', description: 'a UUID, different for each event' },
    type: {
      type: 'string',
      pattern: EVENT_TYPE_PATTERN,
      description: 'the type of the event: words with dots between them, such as call.ended',
    },
    source: { type: 'string', minLength: 1, description: 'the part of the platform that the event comes from' },
    timestamp: { type: 'string', format: 'date-time', description: 'when it happened, as ISO 8601 in UTC' },
    organizationId: {
      type: 'string',
      minLength: 1,
      description: 'the id of the organization, which must not be empty',
    },
    userId: { type: ['string', 'null'], description: 'the id of the user as a text, or null' },
    data: { type: 'object', description: 'an object' },
    metadata: {
      type: 'object',
      description: 'an object with version and module',
      properties: {
        version: {
          type: 'string',
          pattern: '^\\d+\\.\\d+\\.\\d+$',
          description: 'the version of the form of the event, such as 1.0.0',
        },
        module: { type: 'string', minLength: 1, description: 'the name of the module that has published it' },
      },
      required: ['version', 'module'],
    },
  },
  required: ['id', 'type', 'source', 'timestamp', 'organizationId', 'userId', 'data', 'metadata'],
};
