import { type ContactError, toContactError } from '../lib/core/errors';
import { GENESYS_REGIONS } from '../lib/genesys/regions';
import { checkTenant } from '../lib/genesys/tenants/check';
import { organizationMetrics } from '../lib/genesys/tenants/metrics';
import type { Organizations } from '../lib/genesys/tenants/organizations';
import { tenantSource } from '../lib/genesys/tenants/source';
import { Tenancy } from '../lib/genesys/tenants/tenancy';
import { adminRoute } from '../lib/red/admin';
import { optionalConfigNode, readConfig, readForm } from '../lib/red/config';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { processIdOf } from '../lib/red/process-id';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { TENANT_FIELDS, tenantSettings } from '../lib/red/tenant-settings';
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

const FIELDS = { ...TENANT_FIELDS, store: optionalConfigNode<ContactStoreNode>('contact-store') };
type Form = ReturnType<typeof readForm<typeof TENANT_FIELDS>>;

/** genesys-tenants: the tenants and the Genesys Cloud organizations they have. */
export default function genesysTenants(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/genesys-tenants/test',
    permission: 'genesys-tenants.write',
    handler: ({ body }) => test(RED, readForm(RED, body, TENANT_FIELDS), (body as { tenantId?: unknown }).tenantId),
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
  let tenancy: Tenancy | undefined;
  const status = new Status(RED, node, {
    details: () => tenancy?.report() ?? {},
    metrics: () => organizationMetrics(node.organizations?.all() ?? []),
  });
  const config = readConfig(RED, node, definition, FIELDS);
  try {
    if (!config.ok) throw config.error;
    const { store, rateLimitPerMinute, concurrency, timeoutSeconds, processes } = config.value;
    const settings = tenantSettings(RED, config.value);
    tenancy = new Tenancy({
      settings,
      defaults: { rateLimitPerMinute, concurrency, timeoutMs: timeoutSeconds * 1_000 },
      processes,
      state: store && offered(store, 'state'),
      processId: processIdOf(RED),
      environment: (name) => RED.util.getSetting(node, name),
      logger,
    });
    node.hasWebhookSecrets = tenantSource(settings) !== 'single';
  } catch (thrown) {
    const error = toContactError(thrown, 'use the configuration');
    node.problem = error;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    return;
  }
  const { organizations } = tenancy;
  node.organizations = organizations;
  const show = () => {
    const { problem, size } = organizations.directory;
    if (problem) status.set('degraded', { reason: problem });
    else status.set('connected', { text: 'tenants', values: { count: size } });
  };
  organizations.directory.onChange(show);
  show();
  onClose(node, () => tenancy.close());
}

/** Finds a tenant with the values of the dialog, gets a token and asks whom it belongs to. */
async function test(RED: Red, form: Form, tenantId: unknown): Promise<Record<string, unknown>> {
  if (!form.ok) throw form.error;
  const wanted = typeof tenantId === 'string' ? tenantId.trim() : '';
  const environment = (name: string): unknown => RED.util.getSetting(undefined as never, name);
  return { ok: true, ...(await checkTenant(tenantSettings(RED, form.value), wanted, environment)) };
}
