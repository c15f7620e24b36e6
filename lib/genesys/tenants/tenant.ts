import { asObject } from '../../core/answers';
import { ContactError } from '../../core/errors';
import { registerSecret } from '../../core/redaction';
import type { GenesysAccountOptions } from '../account';
import { genesysAddresses } from '../regions';

/** An organization of a tenant: everything that it takes to send messages into it. */
export interface TenantOrganization extends GenesysAccountOptions {
  tenantId: string;
  organizationId: string;
  /** The Open Messaging integration. */
  integrationId: string;
  /** Calls a minute; the vendor's default of 300 when left out. */
  rateLimitPerMinute?: number;
  /** Calls on their way at the same time, at most. */
  concurrency?: number;
  /** What Genesys signs its posts to the webhook of this integration with. */
  webhookSecret?: string;
}

/** A tenant with its organizations, of which there may be several. */
export interface Tenant {
  tenantId: string;
  organizations: ReadonlyMap<string, TenantOrganization>;
  /** The organization of messages that name none. */
  defaultId: string | undefined;
}

/** Which organization of a tenant is meant; the default one when nothing is given. */
export interface OrganizationChoice {
  organizationId?: string | undefined;
  /** What an older form of message names; the default organization when the tenant has no such integration. */
  integrationId?: string | undefined;
}

/** The organization that a message goes to. Throws `NOT_FOUND` or `INVALID_INPUT`. */
export function chooseOrganization(
  { tenantId, organizations, defaultId }: Tenant,
  { organizationId, integrationId }: OrganizationChoice,
): TenantOrganization {
  const attempted = `find the organization for a message of the tenant ${tenantId}`;
  if (organizationId !== undefined) {
    const found = organizations.get(organizationId);
    if (found) return found;
    const answer = `the tenant has no organization ${organizationId}`;
    throw new ContactError('NOT_FOUND', {
      attempted,
      answer,
      advice: 'Add it to the tenants, or correct the message.',
    });
  }
  for (const organization of organizations.values()) {
    if (organization.integrationId === integrationId) return organization;
  }
  const byDefault = organizations.get(defaultId ?? '');
  if (byDefault) return byDefault;
  throw new ContactError('INVALID_INPUT', {
    attempted,
    answer: `the tenant has ${organizations.size} organizations and no default`,
    advice: 'Name the organization in the message, or set "default" in the tenants.',
  });
}

/** Throws what is said to everyone who names a tenant that nobody knows. */
export function unknownTenant(tenantId: string, where: string): ContactError {
  return new ContactError('NOT_FOUND', {
    attempted: `find the tenant ${tenantId}`,
    target: where,
    answer: 'there is no such tenant',
    advice: 'Add it there, or correct the tenantId of the message.',
  });
}

/** Where a value such as `${NAME}` is looked up. */
export type Environment = (name: string) => unknown;

type Json = Record<string, unknown>;

/**
 * Reads a tenant: `{organizations: {<id>: {...}}, default?}`, or the flat form of the original tenant service with a
 * single organization. Throws `CONFIGURATION` that names everything that is wrong.
 */
export function readTenant(tenantId: string, given: unknown, environment: Environment): Tenant {
  const problems: string[] = [];
  const tenant = asObject(given);
  if (!tenant) throw invalid(tenantId, ['it is no object']);
  const isFlat = !('organizations' in tenant);
  const entries = isFlat
    ? { [String(tenant['organizationId'] ?? 'default')]: tenant }
    : asObject(tenant['organizations']);
  if (!entries || Object.keys(entries).length === 0) throw invalid(tenantId, ['it has no organizations']);
  const organizations = new Map<string, TenantOrganization>();
  for (const [organizationId, value] of Object.entries(entries)) {
    const place = isFlat ? '' : `organizations.${organizationId}.`;
    const organization = readOrganization({ tenantId, organizationId }, value, { environment, place, problems });
    if (organization) organizations.set(organizationId, organization);
  }
  const chosen = isFlat ? undefined : tenant['default'];
  const [first] = Object.keys(entries);
  const defaultId = chosen ?? (Object.keys(entries).length === 1 ? first : undefined);
  if (chosen !== undefined && (typeof chosen !== 'string' || !Object.hasOwn(entries, chosen))) {
    problems.push(`default names ${JSON.stringify(chosen)}, which is no organization of it`);
  }
  if (problems.length > 0) throw invalid(tenantId, problems);
  return { tenantId, organizations, defaultId: typeof defaultId === 'string' ? defaultId : undefined };
}

function invalid(tenantId: string, problems: readonly string[]): ContactError {
  return new ContactError('CONFIGURATION', {
    attempted: `use the tenant ${tenantId}`,
    answer: problems.join('; '),
    advice: 'Correct the tenant.',
    // The message is not at fault: it may go once the tenant has been put right.
    retryable: true,
  });
}

interface Reading {
  environment: Environment;
  /** Stands before the names of properties in what is told. */
  place: string;
  problems: string[];
}

function readOrganization(
  ids: { tenantId: string; organizationId: string },
  given: unknown,
  reading: Reading,
): TenantOrganization | undefined {
  const { place, problems } = reading;
  const organization = asObject(given);
  if (!organization) {
    problems.push(`${place.replace(/\.$/, '')} is no object`);
    return undefined;
  }
  const text = (name: string, isRequired = false) => readText(organization, name, isRequired, reading);
  const before = problems.length;
  const region = text('region');
  const addresses = readAddresses(region, { loginUrl: text('loginUrl'), apiUrl: text('apiUrl') }, reading);
  const clientId = text('clientId', true);
  const clientSecret = text('clientSecret', true);
  const integrationId = text('integrationId', true);
  const rateLimitPerMinute =
    readNumber(organization, 'rateLimitPerMinute', reading) ?? readRateLimits(organization, reading);
  const concurrency = readNumber(organization, 'concurrency', reading);
  const webhookSecret = text('webhookSecret');
  registerSecret(clientSecret);
  registerSecret(webhookSecret);
  if (problems.length > before || !addresses || !clientId || !clientSecret || !integrationId) return undefined;
  return {
    ...ids,
    ...addresses,
    clientId,
    clientSecret,
    integrationId,
    ...(rateLimitPerMinute === undefined ? {} : { rateLimitPerMinute }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(webhookSecret === undefined ? {} : { webhookSecret }),
  };
}

function readAddresses(
  region: string | undefined,
  overrides: { loginUrl: string | undefined; apiUrl: string | undefined },
  { place, problems }: Reading,
) {
  const { loginUrl, apiUrl } = overrides;
  for (const [name, url] of Object.entries(overrides)) {
    if (url !== undefined && (!/^https?:\/\//.test(url) || !URL.canParse(url))) {
      problems.push(`${place}${name} must be an address that begins with http:// or https://`);
      return undefined;
    }
  }
  try {
    return genesysAddresses(region, { loginUrl: loginUrl?.replace(/\/+$/, ''), apiUrl: apiUrl?.replace(/\/+$/, '') });
  } catch {
    problems.push(`${place}region ${region === undefined ? 'is not set' : `"${region}" is no region`}`);
    return undefined;
  }
}

const VARIABLE = /^\$\{(\w+)\}$/;

function readText(given: Json, name: string, isRequired: boolean, reading: Reading): string | undefined {
  const { environment, place, problems } = reading;
  const value = given[name];
  if (value === undefined || value === null || value === '') {
    if (isRequired) problems.push(`${place}${name} is not set`);
    return undefined;
  }
  if (typeof value !== 'string') {
    problems.push(`${place}${name} must be a text`);
    return undefined;
  }
  const variable = VARIABLE.exec(value.trim())?.[1];
  if (variable === undefined) return value.trim();
  const found = environment(variable);
  if (typeof found === 'string' && found.trim() !== '') return found.trim();
  if (isRequired) problems.push(`${place}${name} refers to the environment variable ${variable}, which is not set`);
  return undefined;
}

function readNumber(given: Json, name: string, { place, problems }: Reading): number | undefined {
  const value = given[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1) return value;
  problems.push(`${place}${name} must be a whole number of at least 1`);
  return undefined;
}

/** The original tenant service has the limit one level deeper. */
function readRateLimits(given: Json, reading: Reading): number | undefined {
  const limits = asObject(given['rateLimits']);
  if (!limits) return undefined;
  const inner = { ...reading, place: `${reading.place}rateLimits.` };
  for (const name of ['perMinute', 'requestsPerMinute', 'messagesPerMinute']) {
    if (limits[name] !== undefined) return readNumber(limits, name, inner);
  }
  return undefined;
}
