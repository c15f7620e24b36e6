import fc from 'fast-check';
import type { KnownEventType } from '../../../lib/ocelot/schemas';

/** What `ocelot-publish` is given for an event of each type. */
export const VALID_DATA: Record<KnownEventType, Record<string, unknown>> = {
  'call.started': { call_id: 'call-1', from_number: '+14155550100', to_number: '+442079460000', campaign_id: 'spring' },
  'call.ended': { call_id: 'call-1', duration: 180, outcome: 'completed', transcript: 'Hello' },
  'call.transcribed': { call_id: 'call-1', transcript: 'Hello', language: 'en-US', confidence: 0.93 },
  'campaign.completed': { campaign_id: 'spring', total_calls: 200, successful_calls: 120, failed_calls: 60 },
  'sentiment.analyzed': { call_id: 'call-1', sentiment: 'negative', score: -0.7, keywords: ['cancel', 'refund'] },
};

/** An event that must not be published, and the field that is wrong with it. */
export interface MalformedEvent {
  type: string;
  data: unknown;
  organizationId: unknown;
  field: string;
}

const notText = fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.constant({}), fc.constant([]));
const notNumber = fc.oneof(fc.string(), fc.boolean(), fc.constant(null), fc.constant({}), fc.constant([1]));
const notCount = fc.oneof(notNumber, fc.integer({ max: -1 }), fc.constant(1.5));
const notId = fc.oneof(notText, fc.constant(''));
const notPhone = fc.oneof(
  notText,
  fc.constantFrom('', '14155550100', '+0123456', '+1 415 555', '+1415555010012345', 'sip:me@host', '+', '+1a'),
);
const outside = (min: number, max: number) =>
  fc.oneof(notNumber, fc.double({ min: max + 0.001, noNaN: true }), fc.double({ max: min - 0.001, noNaN: true }));

/** For each type and property, values that it must not have. */
const WRONG: Record<KnownEventType, Record<string, fc.Arbitrary<unknown>>> = {
  'call.started': {
    call_id: notId,
    from_number: notPhone,
    to_number: notPhone,
    campaign_id: fc.oneof(fc.integer(), fc.constant({}), fc.constant([])),
  },
  'call.ended': {
    call_id: notId,
    duration: fc.oneof(notNumber, fc.double({ max: -0.001, noNaN: true })),
    outcome: fc.oneof(notText, fc.constantFrom('', 'done', 'Completed')),
    transcript: fc.oneof(fc.integer(), fc.constant({}), fc.constant([])),
  },
  'call.transcribed': {
    call_id: notId,
    transcript: notText,
    language: fc.oneof(notText, fc.constantFrom('', 'e', 'en_US', 'english language', 'en-', '-en', '12')),
    confidence: outside(0, 1),
  },
  'campaign.completed': {
    campaign_id: notId,
    total_calls: notCount,
    successful_calls: notCount,
    failed_calls: notCount,
    success_rate: outside(0, 1),
  },
  'sentiment.analyzed': {
    call_id: notId,
    sentiment: fc.oneof(notText, fc.constantFrom('', 'angry', 'POSITIVE')),
    score: outside(-1, 1),
    keywords: fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant({}), fc.constant(['ok', 1])),
  },
};

const REQUIRED: Record<KnownEventType, string[]> = {
  'call.started': ['call_id', 'from_number', 'to_number'],
  'call.ended': ['call_id', 'duration', 'outcome'],
  'call.transcribed': ['call_id', 'transcript', 'language', 'confidence'],
  'campaign.completed': ['campaign_id', 'total_calls', 'successful_calls', 'failed_calls'],
  'sentiment.analyzed': ['call_id', 'sentiment', 'score', 'keywords'],
};

const types = fc.constantFrom(...(Object.keys(VALID_DATA) as KnownEventType[]));
const fine = { organizationId: 'org-1' };

/** Events with one thing wrong each, of every kind. */
export const malformedEvents: fc.Arbitrary<MalformedEvent> = fc.oneof(
  { arbitrary: types.chain(withWrongValue), weight: 6 },
  { arbitrary: types.chain(withMissingProperty), weight: 2 },
  {
    arbitrary: fc
      .tuple(types, fc.constantFrom('extra', 'callId', 'Call_id', 'outcomee'))
      .map(([type, name]) => ({ ...fine, type, data: { ...VALID_DATA[type], [name]: 1 }, field: `data.${name}` })),
    weight: 1,
  },
  {
    arbitrary: fc
      .tuple(types, fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant([])))
      .map(([type, data]) => ({ ...fine, type, data, field: 'data' })),
    weight: 1,
  },
  {
    arbitrary: fc
      .tuple(types, fc.constantFrom(undefined, '', '   ', 42, null))
      .map(([type, organizationId]) => ({ organizationId, type, data: VALID_DATA[type], field: 'organizationId' })),
    weight: 1,
  },
  {
    arbitrary: fc
      .constantFrom('', 'call ended', '.call', 'call.', 'call..ended', 'call.*', '#', 'é', 'x'.repeat(300))
      .map((type) => ({ ...fine, type, data: {}, field: 'type' })),
    weight: 1,
  },
);

function withWrongValue(type: KnownEventType): fc.Arbitrary<MalformedEvent> {
  return fc.constantFrom(...Object.keys(WRONG[type])).chain((name) =>
    WRONG[type][name]!.map((value) => {
      const data = { ...VALID_DATA[type], [name]: value };
      return { ...fine, type, data, field: `data.${name}` };
    }),
  );
}

function withMissingProperty(type: KnownEventType): fc.Arbitrary<MalformedEvent> {
  return fc.constantFrom(...REQUIRED[type]).map((name) => {
    const { [name]: _missing, ...data } = VALID_DATA[type];
    return { ...fine, type, data, field: `data.${name}` };
  });
}
