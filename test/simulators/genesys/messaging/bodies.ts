import { badRequest, invalidValue } from '../answers';
import { type ApiRequest, jsonBody } from '../server';

/** Throws a 400 that names the field when a value is not what the endpoint takes. */
export type Check = (value: unknown, field: string) => void;

/** A JSON object that was checked. */
export type Body = Record<string, unknown>;

/** The largest text of Open Messaging, in characters. */
export const longestText = 2_000;

/** The body of a request as an object with these fields and no others; `required` ones must be there. */
export function bodyOf(request: ApiRequest, checks: Record<string, Check>, required: readonly string[] = []): Body {
  const body = jsonBody(request);
  object(checks, required)(body, '');
  return body as Body;
}

/** An object with these fields and no others. */
export function object(checks: Record<string, Check>, required: readonly string[] = []): Check {
  return (value, field) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw field === '' ? badRequest('The request body must be a JSON object.') : invalid(field, 'must be an object');
    }
    for (const name of required) {
      const given = (value as Body)[name];
      if (given === undefined || given === null || given === '') throw invalid(inner(field, name), 'is required');
    }
    for (const [name, given] of Object.entries(value)) {
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
      if (!check) throw invalid(inner(field, name), 'is not a property of this request');
      check(given, inner(field, name));
    }
  };
}

/** A text of at most so many characters. */
export function text(longest = 10_000): Check {
  return (value, field) => {
    if (typeof value !== 'string') throw invalid(field, 'must be a string');
    if (value.length > longest) throw invalid(field, `must have at most ${longest} characters`);
  };
}

/** One of these texts. */
export function oneOf(...words: string[]): Check {
  return (value, field) => {
    if (!words.includes(value as string)) throw invalid(field, `must be one of ${words.join(', ')}`);
  };
}

/** `true` or `false`. */
export const flag: Check = (value, field) => {
  if (typeof value !== 'boolean') throw invalid(field, 'must be a boolean');
};

/** A whole number of at least `least`. */
export function whole(least: number): Check {
  return (value, field) => {
    if (!Number.isInteger(value) || (value as number) < least) throw invalid(field, `must be at least ${least}`);
  };
}

/** An array of at least one value, each of which passes. */
export function listOf(check: Check): Check {
  return (value, field) => {
    if (!Array.isArray(value) || value.length === 0) throw invalid(field, 'must be an array that is not empty');
    value.forEach((item, index) => {
      check(item, `${field}[${index}]`);
    });
  };
}

/** An object whose values are all texts. */
export const textMap: Check = (value, field) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, 'must be an object');
  for (const [name, given] of Object.entries(value)) text()(given, inner(field, name));
};

/** A moment as ISO 8601 with a time zone. */
export const moment: Check = (value, field) => {
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/;
  if (typeof value !== 'string' || !iso.test(value) || Number.isNaN(Date.parse(value))) {
    throw invalid(field, 'must be a date-time as ISO 8601');
  }
};

/** An absolute address that can be fetched. */
export const address: Check = (value, field) => {
  if (typeof value !== 'string' || !/^https?:\/\/[^\s/]+/.test(value)) throw invalid(field, 'must be a URL');
};

/** Refuses a body that has not exactly one of these fields. */
export function exactlyOne(body: Body, names: readonly string[]): void {
  const given = names.filter((name) => body[name] !== undefined);
  if (given.length !== 1) throw badRequest(`Exactly one of ${names.join(', ')} must be given, not ${given.length}.`);
}

function inner(field: string, name: string): string {
  return field === '' ? name : `${field}.${name}`;
}

function invalid(field: string, what: string) {
  return invalidValue(field, `The value of ${field} is invalid: it ${what}.`);
}
