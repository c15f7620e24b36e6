import { changeMessage } from '../lib/monitor/changes';
import { logRecorder } from '../lib/monitor/logs';
import { servicesOf } from '../lib/monitor/members';
import { monitors } from '../lib/monitor/monitors';
import { type MonitoredNode, monitored, type StateChange } from '../lib/monitor/registry';
import { boolean, integer, readConfig, secret, text } from '../lib/red/config';
import { whenFlowsStarted } from '../lib/red/flows-started';
import { guard, onClose } from '../lib/red/input';
import { liveRoutes } from '../lib/red/live-routes';
import { loggedLevel, nodeLogger } from '../lib/red/logger';
import { monitorRoutes } from '../lib/red/monitor-routes';
import { type Definition, flowIdsOf, type Red, type RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { type NodeTelemetry, openTelemetry, TELEMETRY_FIELDS } from '../lib/red/telemetry';

const FIELDS = {
  service: text({
    pattern: /^[a-z0-9][a-z0-9._-]*$/i,
    expected: 'made of letters, digits, dots, dashes and underscores',
  }),
  metricsEnabled: boolean({ default: false, environment: 'METRICS_ENABLED' }),
  token: secret({ credential: 'token', environmentProperty: 'tokenEnvironment', environment: 'MONITOR_TOKEN' }),
  logEntries: integer({ default: 1_000, min: 10, max: 100_000 }),
  ...TELEMETRY_FIELDS,
};

const CREDENTIALS = { token: 'password', connectionString: 'password', otlpHeaders: 'password' } as const;

/** contact-monitor: health, stats, metrics and logs over HTTP, a message at each change of state, and telemetry. */
export default function contactMonitor(RED: Red): void {
  monitorRoutes(RED);
  liveRoutes(RED);
  registerNode(RED, 'contact-monitor', (node, definition) => start(RED, node, definition), CREDENTIALS);
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  let telemetry: NodeTelemetry | undefined;
  const status = new Status(RED, node, {
    details: () => telemetry?.details() ?? {},
    metrics: () => telemetry?.metrics() ?? [],
  });
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    status.cannotStart(config.error);
    return;
  }
  const { service, metricsEnabled, token, logEntries } = config.value;

  const told = new WeakSet<MonitoredNode>();
  const tell = guard(node, (change: StateChange) => {
    const services = servicesOf(change.node, monitors.services());
    if (change.node.id === node.id || (service !== undefined && !services.includes(service))) return;
    told.add(change.node);
    node.send({ ...changeMessage(change, service ?? services[0]!) });
  });
  // Nodes that were started before this one have changed their state unheard.
  whenFlowsStarted(RED, node, () => {
    for (const other of monitored.all()) {
      const { state, reason, since } = other.report();
      if (state === 'idle' || told.has(other)) continue;
      tell({ node: other, previous: 'idle', state, since, ...(reason === undefined ? {} : { reason }) });
    }
  });

  const ends = [
    monitors.add({ service, flowIds: () => flowIdsOf(node), metricsEnabled, token }),
    monitored.onChange(tell),
    logRecorder.record(RED.log, loggedLevel(RED), logEntries),
  ];
  const show = guard(node, () => {
    const reason = telemetry?.problem();
    if (reason === undefined) status.set('idle', { text: 'watching' });
    // What the node is there for it does all the same.
    else status.set('degraded', { reason });
  });
  telemetry = openTelemetry(RED, service, config.value, show);
  const reason = telemetry.problem();
  if (reason !== undefined) nodeLogger(RED, node).error(reason, { code: 'CONFIGURATION' });
  onClose(node, async () => {
    for (const end of ends) end();
    await telemetry?.close();
  });
  show();
}
