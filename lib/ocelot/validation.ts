import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import {
  DATA_SCHEMAS,
  ENVELOPE_SCHEMA,
  isKnownType,
  KNOWN_EVENT_TYPES,
  type KnownEventType,
  type Schema,
} from './schemas';

/** One thing that is wrong with an event. */
export interface SchemaProblem {
  /** Where: `data.call_id`, `organizationId`. */
  field: string;
  /** What: `must be ...`. */
  problem: string;
}

interface Validators {
  envelope: ValidateFunction;
  strict: Map<KnownEventType, ValidateFunction>;
  tolerant: Map<KnownEventType, ValidateFunction>;
}

let compiled: Validators | undefined;

/**
 * What is wrong with the data of an event, as its publisher must have them: no property may be missing, none may be
 * there that the type does not have. Data of a type without a schema must be an object.
 */
export function checkData(type: string, data: unknown): SchemaProblem[] {
  if (isKnownType(type)) return problemsOf(validators().strict.get(type)!, data, 'data');
  const isObject = typeof data === 'object' && data !== null && !Array.isArray(data);
  return isObject ? [] : [{ field: 'data', problem: 'must be an object' }];
}

/** What is wrong with an event that was received. Properties that a later version may have added are not. */
export function checkEnvelope(envelope: unknown): SchemaProblem[] {
  const problems = problemsOf(validators().envelope, envelope, '');
  if (problems.length > 0) return problems;
  const { type, data } = envelope as { type: string; data: unknown };
  return isKnownType(type) ? problemsOf(validators().tolerant.get(type)!, data, 'data') : [];
}

function problemsOf(validate: ValidateFunction, value: unknown, root: string): SchemaProblem[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).map((error) => problemOf(error, root));
}

function problemOf({ instancePath, keyword, params, parentSchema, message }: ErrorObject, root: string): SchemaProblem {
  const path = [root, ...instancePath.split('/').slice(1).map(unescaped)].filter((part) => part !== '');
  const description = (parentSchema as Schema | undefined)?.description;
  if (keyword === 'required') {
    const name = String((params as { missingProperty: string }).missingProperty);
    return { field: [...path, name].join('.'), problem: 'is missing' };
  }
  if (keyword === 'additionalProperties') {
    const name = String((params as { additionalProperty: string }).additionalProperty);
    return { field: [...path, name].join('.'), problem: 'is not a property of this type' };
  }
  const field = path.join('.') || 'the event';
  const isNamed = description !== undefined && !description.endsWith('.');
  return { field, problem: isNamed ? `must be ${description}` : (message ?? 'is not valid') };
}

/** A part of a JSON pointer as it was. */
function unescaped(part: string): string {
  return part.replace(/~1/g, '/').replace(/~0/g, '~');
}

/** The library is loaded and the schemas are compiled when the first event is checked. */
function validators(): Validators {
  if (compiled) return compiled;
  const { Ajv } = require('ajv') as typeof import('ajv');
  const addFormats = require('ajv-formats') as (ajv: Ajv, formats: string[]) => void;
  const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true });
  addFormats(ajv, ['uuid', 'date-time']);
  const strict = new Map<KnownEventType, ValidateFunction>();
  const tolerant = new Map<KnownEventType, ValidateFunction>();
  for (const type of KNOWN_EVENT_TYPES) {
    const schema: Schema = DATA_SCHEMAS[type];
    strict.set(type, ajv.compile(schema));
    tolerant.set(type, ajv.compile({ ...schema, additionalProperties: true }));
  }
  compiled = { envelope: ajv.compile(ENVELOPE_SCHEMA), strict, tolerant };
  return compiled;
}
