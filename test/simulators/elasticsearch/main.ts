import { parseArgs } from 'node:util';
import { control } from './control';
import type { StoreMode } from './elastic-index';
import { type ElasticsearchSimulatorOptions, startElasticsearchSimulator } from './simulator';

/**
 * Runs the simulator in a process of its own: prints one line `{"url": ...}` when it listens, is controlled over
 * `POST /__control/<verb>`, ends on SIGINT, SIGTERM, or (with --with-parent) when its standard input ends.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      store: { type: 'string', default: 'documents' },
      latency: { type: 'string', default: '0' },
      'max-content-length': { type: 'string' },
      'elastic-version': { type: 'string' },
      'no-auto-create': { type: 'boolean', default: false },
      username: { type: 'string' },
      password: { type: 'string' },
      'api-key': { type: 'string' },
      bearer: { type: 'string' },
      'with-parent': { type: 'boolean', default: false },
    },
  });
  if (!['documents', 'ids', 'none'].includes(values.store)) throw new Error('--store is documents, ids or none');
  const options: ElasticsearchSimulatorOptions = {
    port: Number(values.port),
    store: values.store as StoreMode,
    latencyMs: Number(values.latency),
    autoCreateIndex: !values['no-auto-create'],
    control,
    auth: {
      ...(values.username === undefined
        ? {}
        : { basic: { username: values.username, password: values.password ?? '' } }),
      ...(values['api-key'] === undefined ? {} : { apiKey: values['api-key'] }),
      ...(values.bearer === undefined ? {} : { bearer: values.bearer }),
    },
  };
  if (values['max-content-length'] !== undefined) options.maxContentLengthBytes = Number(values['max-content-length']);
  if (values['elastic-version'] !== undefined) options.version = values['elastic-version'];
  const simulator = await startElasticsearchSimulator(options);
  const end = () => void simulator.close().then(() => process.exit(0));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  if (values['with-parent']) process.stdin.once('end', end).resume();
  process.stdout.write(`${JSON.stringify({ url: simulator.url })}\n`);
}

void main();
