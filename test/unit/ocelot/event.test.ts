import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type EventParts, InvalidEvent, makeEvent, routingKeyOf } from '../../../lib/ocelot/event';
import { KNOWN_EVENT_TYPES } from '../../../lib/ocelot/schemas';
import { checkEnvelope } from '../../../lib/ocelot/validation';
import { malformedEvents, VALID_DATA } from './events';

const make = (parts: Partial<EventParts>) =>
  makeEvent({ type: 'custom.event', data: {}, organizationId: 'org-1', module: 'cc-lite', now: 0, ...parts });
const problemsOf = (parts: Partial<EventParts>) => {
  try {
    make(parts);
    return [];
  } catch (thrown) {
    assert.ok(thrown instanceof InvalidEvent);
    return thrown.problems.map(({ field }) => field);
  }
};

describe('an Ocelot event', () => {
  it('has exactly the envelope of the platform', () => {
    const now = Date.UTC(2026, 0, 15, 12, 30, 0, 5);
    const { id, ...event } = make({ type: 'call.ended', data: VALID_DATA['call.ended'], userId: 'user-1', now });
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(event, {
      type: 'call.ended',
      source: 'communications',
      timestamp: '2026-01-15T12:30:00.005Z',
      organizationId: 'org-1',
      userId: 'user-1',
      data: VALID_DATA['call.ended'],
      metadata: { version: '1.0.0', module: 'cc-lite' },
    });
    assert.deepEqual(Object.keys({ id, ...event }), [
      'id',
      'type',
      'source',
      'timestamp',
      'organizationId',
      'userId',
      'data',
      'metadata',
    ]);
  });

  for (const type of KNOWN_EVENT_TYPES) {
    it(`of the type ${type} is valid for those who receive it`, () => {
      const event = make({ type, data: VALID_DATA[type] });
      assert.deepEqual(checkEnvelope(JSON.parse(JSON.stringify(event))), []);
      assert.equal(event.userId, null);
      assert.equal(routingKeyOf(event.type), `comms.${type}`);
    });
  }

  it('of a free type has any object as its data', () => {
    assert.deepEqual(make({ type: 'planning.task.created', data: { any: ['thing'] } }).data, { any: ['thing'] });
    assert.deepEqual(problemsOf({ data: 'text' }), ['data']);
  });

  it('has null where something that may be null is left out', () => {
    const { transcript, ...ended } = VALID_DATA['call.ended'];
    const { campaign_id, ...started } = VALID_DATA['call.started'];
    assert.equal(make({ type: 'call.ended', data: ended }).data['transcript'], null);
    assert.equal(make({ type: 'call.started', data: started }).data['campaign_id'], null);
  });

  it('has the success rate computed, whatever was given', () => {
    const rate = (more: object) =>
      make({ type: 'campaign.completed', data: { ...VALID_DATA['campaign.completed'], ...more } }).data['success_rate'];
    assert.equal(rate({}), 0.6);
    assert.equal(rate({ success_rate: 0.61 }), 0.6);
    assert.equal(rate({ total_calls: 0, successful_calls: 0, failed_calls: 0 }), 0);
  });

  it('whose parts are more than the whole is refused', () => {
    const data = VALID_DATA['campaign.completed'];
    const type = 'campaign.completed';
    assert.deepEqual(problemsOf({ type, data: { ...data, successful_calls: 201 } }), [
      'data.success_rate',
      'data.successful_calls',
    ]);
    assert.deepEqual(problemsOf({ type, data: { ...data, failed_calls: 81 } }), ['data.failed_calls']);
  });

  it('keeps the id that it is given', () => {
    const id = '0f8f91f9-a27d-4ddf-9026-7e1e3a8d73a6';
    assert.equal(make({ id }).id, id);
    assert.deepEqual(problemsOf({ id: 'one' }), ['id']);
  });

  it('that is wrong in several ways is told all of them', () => {
    const data = { call_id: 7, from_number: 'home', sound: 'loud' };
    assert.deepEqual(problemsOf({ type: 'call.started', data, organizationId: '', userId: 5 }).toSorted(), [
      'data.call_id',
      'data.from_number',
      'data.sound',
      'data.to_number',
      'organizationId',
      'userId',
    ]);
  });

  it('with anything wrong is refused, with an error that names the field', () => {
    fc.assert(
      fc.property(malformedEvents, ({ type, data, organizationId, field }) => {
        let error: unknown;
        try {
          make({ type, data, organizationId });
        } catch (thrown) {
          error = thrown;
        }
        assert.ok(error instanceof InvalidEvent, JSON.stringify({ type, data, organizationId }));
        assert.ok(
          error.problems.some((problem) => problem.field === field || problem.field.startsWith(`${field}.`)),
          `${error.message} does not name ${field}`,
        );
        assert.ok(error.message.includes(field.split('.').pop()!));
      }),
      { numRuns: 5_000 },
    );
  });

  const phones: [string, boolean][] = [
    ['+14155550100', true],
    ['+11', true],
    ['+123456789012345', true],
    ['+1234567890123456', false],
    ['14155550100', false],
    ['+04155550100', false],
    ['+1-415-555-0100', false],
  ];
  for (const [number, isValid] of phones) {
    it(`${isValid ? 'takes' : 'refuses'} the phone number ${number}`, () => {
      const data = { ...VALID_DATA['call.started'], to_number: number };
      assert.deepEqual(problemsOf({ type: 'call.started', data }), isValid ? [] : ['data.to_number']);
    });
  }

  const tags: [string, boolean][] = [
    ['en', true],
    ['de-AT', true],
    ['zh-Hant-TW', true],
    ['es-419', true],
    ['sl-rozaj-biske', true],
    ['de-DE-u-co-phonebk', true],
    ['en-x-private', true],
    ['cs', true],
    ['en_US', false],
    ['e', false],
    ['en-US-', false],
    ['123', false],
  ];
  for (const [language, isValid] of tags) {
    it(`${isValid ? 'takes' : 'refuses'} the language ${language}`, () => {
      const data = { ...VALID_DATA['call.transcribed'], language };
      assert.deepEqual(problemsOf({ type: 'call.transcribed', data }), isValid ? [] : ['data.language']);
    });
  }
});

describe('a received event', () => {
  const valid = () => JSON.parse(JSON.stringify(make({ type: 'call.ended', data: VALID_DATA['call.ended'] })));
  const fields = (event: unknown) => checkEnvelope(event).map(({ field }) => field);

  it('may have properties that a later version has added', () => {
    const event = valid();
    event.data.agent_id = 'agent-1';
    event.traceId = 'trace-1';
    assert.deepEqual(fields(event), []);
  });

  it('may come from another part of the platform', () => {
    assert.deepEqual(fields({ ...valid(), source: 'planning', type: 'planning.task.created' }), []);
  });

  it('is told what is wrong with it', () => {
    assert.deepEqual(fields({ ...valid(), id: 'x', timestamp: 'yesterday' }), ['id', 'timestamp']);
    assert.deepEqual(fields({ ...valid(), data: { call_id: 'c' } }), [
      'data.duration',
      'data.outcome',
      'data.transcript',
    ]);
    assert.deepEqual(fields('text'), ['the event']);
    assert.deepEqual(fields({ ...valid(), metadata: {} }), ['metadata.version', 'metadata.module']);
  });
});
