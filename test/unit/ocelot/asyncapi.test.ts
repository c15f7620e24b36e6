import assert from 'node:assert/strict';
import { Ajv, type AnySchema } from 'ajv';
import { asyncApiDocument } from '../../../lib/ocelot/asyncapi';
import { makeEvent } from '../../../lib/ocelot/event';
import { KNOWN_EVENT_TYPES } from '../../../lib/ocelot/schemas';
import { readJson } from '../design/checkout';
import { VALID_DATA } from './events';

const addFormats = require('ajv-formats') as (ajv: Ajv) => void;

describe('the AsyncAPI document', () => {
  it('in the repository is what the schemas in the code give', () => {
    assert.deepEqual(
      readJson('lib/ocelot/asyncapi.json'),
      JSON.parse(JSON.stringify(asyncApiDocument())),
      'make it anew with: node --import tsx test/commands/asyncapi.ts',
    );
  });

  it('is valid by the schema of AsyncAPI 3.0.0', () => {
    const { schemas } = require('@asyncapi/specs') as { schemas: Record<string, AnySchema> };
    // The schema brings the draft of JSON Schema along that it is written in.
    const ajv = new Ajv({ strict: false, allErrors: true, meta: false, validateSchema: false });
    addFormats(ajv);
    const validate = ajv.compile(schemas['3.0.0']!);
    assert.ok(validate(asyncApiDocument()), JSON.stringify(validate.errors, undefined, 2));
    assert.equal(validate({ ...asyncApiDocument(), channels: [] }), false);
  });

  it('describes every event as it is published', () => {
    const { components, channels } = asyncApiDocument() as {
      components: { schemas: Record<string, object> };
      channels: Record<string, { address: string }>;
    };
    const ajv = new Ajv({ strict: false });
    addFormats(ajv);
    ajv.addSchema({ $id: 'document', components });
    const names = Object.keys(channels);
    assert.deepEqual(
      names.map((name) => channels[name]!.address),
      KNOWN_EVENT_TYPES.map((type) => `comms.${type}`),
    );
    for (const [index, type] of KNOWN_EVENT_TYPES.entries()) {
      const validate = ajv.compile({ $ref: `document#/components/schemas/${names[index]}Event` });
      const event = makeEvent({ type, data: VALID_DATA[type], organizationId: 'org-1', module: 'cc-lite', now: 0 });
      assert.ok(validate(JSON.parse(JSON.stringify(event))), JSON.stringify(validate.errors));
      assert.equal(validate({ ...event, type: 'other' }), false);
    }
  });
});
