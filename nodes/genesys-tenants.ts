import { resolve } from 'node:path';
import { ContactError, toContactError } from '../lib/core/errors';
import { HttpClient } from '../lib/core/http';
import { silentLogger } from '../lib/core/log';
import { checkAccess } from '../lib/genesys/check';
import { GENESYS_REGIONS } from '../lib/genesys/regions';
import { Organizations } from '../lib/genesys/tenants/organizations';
import { openTenants, TENANT_SOURCES, type TenantSettings, tenantSource } from '../lib/genesys/tenants/source';
import type { AnyMetric } from '../lib/monitor/registry';
import { adminRoute, readForm } from '../lib/red/admin';
import { choice, integer, number, optionalConfigNode, readConfig, secret, text, url } from '../lib/red/config';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { processIdOf } from '../lib/red/process-id';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { Presence } from '../lib/store/presence';
import type { ContactStoreNode } from './contact-store';

/** What the nodes that use genesys-tenants find on it. */
export interface GenesysTenantsNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  organizations?: Organizations;
  /** Whether organizations can have webhook secrets of their own. */
  hasWebhookSecrets?: boolean;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  source: choice(['auto', ...TENANT_SOURCES], { default: 'auto' }),
  serviceUrl: url(),
  serviceToken: secret({
    credential: 'serviceToken',
    environmentProperty: 'serviceTokenEnvironment',
    environment: 'TENANT_SERVICE_TOKEN',
  }),
  cacheSeconds: integer({ default: 300, min: 1, max: 86_400 }),
  file: text(),
  table: text(),
  region: text(),
  loginUrl: url(),
  apiUrl: url(),
  clientId: secret({
    credential: 'clientId',
    environmentProperty: 'clientIdEnvironment',
    environment: 'GENESYS_CLIENT_ID',
  }),
  clientSecret: secret({
    credential: 'clientSecret',
    environmentProperty: 'clientSecretEnvironment',
    environment: 'GENESYS_CLIENT_SECRET',
  }),
  integrationId: text(),
  rateLimitPerMinute: integer({ default: 300, min: 1, max: 1_000_000 }),
  concurrency: integer({ default: 10, min: 1, max: 256 }),
  timeoutSeconds: number({ default: 15, min: 0.1, max: 300 }),
  processes: integer({ default: 1, min: 1, max: 1_000 }),
};
const SHARED = { ...FIELDS, store: optionalConfigNode<ContactStoreNode>('contact-store') };
type Form = ReturnType<typeof readForm<typeof FIELDS>>;
type Values = Extract<Form, { ok: true }>['value'];

/** genesys-tenants: the tenants and the Genesys Cloud organizations they have. */
export default function genesysTenants(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/genesys-tenants/test',
    permission: 'genesys-tenants.write',
    handler: ({ body }) => test(RED, readForm(RED, body, FIELDS), (body as { tenantId?: unknown }).tenantId),
  });
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/genesys-tenants/regions',
    permission: 'genesys-tenants.read',
    handler: () => GENESYS_REGIONS,
  });
  registerNode<GenesysTenantsNode>(RED, 'genesys-tenants', (node, definition) => start(RED, node, definition), {
    clientId: 'text',
    clientSecret: 'password',
    serviceToken: 'password',
  });
}

function start(RED: Red, node: GenesysTenantsNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  let presence: Presence | undefined;
  const status = new Status(RED, node, {
    details: () => ({
      ...(node.organizations ? { known: node.organizations.directory.size } : {}),
      ...(presence ? { processes: presence.count } : {}),
      organizations: node.organizations?.all().map((organization) => organization.report()),
    }),
    metrics: () => metrics(node.organizations),
  });
  const config = readConfig(RED, node, definition, SHARED);
  const fail = (error: ContactError) => {
    node.problem = error;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
  };
  if (!config.ok) {
    fail(config.error);
    return;
  }
  const { store: storeNode, rateLimitPerMinute, concurrency, timeoutSeconds, processes } = config.value;
  if (storeNode && !storeNode.state) {
    fail(storeNode.problem ?? new ContactError('CONFIGURATION', { attempted: 'use the store' }));
    return;
  }
  const http = new HttpClient();
  const environment = (name: string): unknown => RED.util.getSetting(node, name);
  const state = storeNode?.state;
  const leave = state?.hold() ?? (() => {});
  if (state?.redis) {
    presence = new Presence({ redis: state.redis, store: state.store, name: 'genesys-tenants', id: processIdOf(RED) });
    void presence.start();
  }
  const present = presence;
  let organizations: Organizations;
  try {
    const directory = openTenants(settingsOf(RED, config.value), { environment, http, logger });
    const sharing = state?.redis && {
      store: state.store,
      redis: state.redis,
      processes: () => Math.max(processes, present?.count ?? 1),
    };
    const defaults = { rateLimitPerMinute, concurrency, timeoutMs: timeoutSeconds * 1_000 };
    organizations = new Organizations(directory, defaults, sharing);
  } catch (thrown) {
    leave();
    fail(toContactError(thrown, 'use the configuration'));
    return;
  }
  node.organizations = organizations;
  node.hasWebhookSecrets = tenantSource(settingsOf(RED, config.value)) !== 'single';
  const show = () => {
    const { problem, size } = organizations.directory;
    if (problem) status.set('degraded', { reason: problem });
    else status.set('connected', { text: 'tenants', values: { count: size } });
  };
  organizations.directory.onChange(show);
  show();
  onClose(node, async () => {
    organizations.close();
    http.close();
    await present?.close();
    leave();
  });
}

function settingsOf(RED: Red, values: Values): TenantSettings {
  const { source, file, ...rest } = values;
  return {
    ...rest,
    source: source === 'auto' ? undefined : source,
    file: file === undefined ? undefined : resolve(RED.settings.userDir ?? '.', file),
  };
}

/** Finds a tenant with the values of the dialog, gets a token and asks whom it belongs to. */
async function test(RED: Red, form: Form, tenantId: unknown): Promise<Record<string, unknown>> {
  if (!form.ok) throw form.error;
  const http = new HttpClient();
  const environment = (name: string): unknown => RED.util.getSetting(undefined as never, name);
  const settings = settingsOf(RED, form.value);
  const directory = openTenants(settings, { environment, http, logger: silentLogger });
  try {
    const wanted = typeof tenantId === 'string' ? tenantId.trim() : '';
    if (wanted === '' && tenantSource(settings) !== 'single') {
      const answer = 'no tenant is named';
      const advice = 'Write the id of a tenant beside the button.';
      throw new ContactError('INVALID_INPUT', { attempted: 'test the tenants', answer, advice });
    }
    const found = await directory.find(wanted, {});
    const check = await checkAccess(http, found);
    return { ok: true, ...check, organizationId: found.organizationId, integrationId: found.integrationId };
  } finally {
    directory.close();
    http.close();
  }
}

function metrics(organizations: Organizations | undefined): AnyMetric[] {
  return (organizations?.all() ?? []).flatMap(({ name: organization, limit }): AnyMetric[] => [
    {
      name: 'contact_center_genesys_rate_limit_per_minute',
      help: 'Calls a minute that an organization may get.',
      type: 'gauge',
      value: limit.turns,
      labels: { organization },
    },
    {
      name: 'contact_center_genesys_rate_limit_waiting',
      help: 'Calls that wait for their turn under the rate limit of an organization.',
      type: 'gauge',
      value: limit.waiting,
      labels: { organization },
    },
    {
      name: 'contact_center_genesys_rate_limit_alone',
      help: 'Whether this process counts the turns of an organization by itself, because Redis is away.',
      type: 'gauge',
      value: limit.alone ? 1 : 0,
      labels: { organization },
    },
  ]);
}
