/**
 * Messages with one document of 600 bytes each through Node-RED into es-bulk-out, with the buffer in memory and on
 * disk, against what else could be used:
 *
 * - `bulk helper`: the one of the Elasticsearch client, in a plain script without Node-RED;
 * - `hand-built flow`: join, function and http request nodes;
 * - `jupalcf`: the index node of node-red-contrib-elasticsearch-jupalcf, which sends a request for each document. It is
 *   installed into .work; without a registry it is left out.
 *
 * All send the same documents to the same simulated Elasticsearch, a process of its own that keeps nothing but ids,
 * 640 kB a batch and 4 batches at a time. Every Node-RED is fed by a node within it that has {@link WINDOW} documents
 * on their way at most.
 *
 *     npm run bench -- es-bulk-out
 */
import type { FlowEntry } from '../services/node-red';
import type { Benchmark, BenchmarkOptions, Contender } from './harness/benchmark';
import { checkStored } from './harness/elasticsearch';
import { eventId } from './harness/events';
import { installPack } from './harness/packs';
import {
  askSource,
  type SimulatorProcess,
  startMeasuredNodeRed,
  startScript,
  startSimulator,
} from './harness/processes';

const INDEX = 'bench';
const BATCH_BYTES = 640 * 1024;
/** What of these documents makes about 640 kB, and divides a round evenly, so that no batch waits to be full. */
const BATCH_DOCUMENTS = 1_000;
const CONCURRENCY = 4;
const WINDOW = 10_000;

const MEMORY = 'es-bulk-out, memory';
const DISK = 'es-bulk-out, disk';
const HELPER = 'bulk helper';
const HAND_BUILT = 'hand-built flow';
const JUPALCF = 'jupalcf';
const JUPALCF_PACK = {
  name: 'node-red-contrib-elasticsearch-jupalcf',
  version: '1.1.24',
  nodes: 'elasticsearch',
};

export const benchmark: Benchmark = {
  title: 'Single documents of 600 bytes into Elasticsearch',
  item: 'document',
  items: 100_000,
  rounds: 10,
  targets: [
    { contender: MEMORY, against: HELPER, figure: 'rate', atLeast: 0.9 },
    { contender: MEMORY, against: HAND_BUILT, figure: 'rate', atLeast: 1.8 },
    { contender: MEMORY, against: JUPALCF, figure: 'rate', atLeast: 15 },
    { contender: MEMORY, figure: 'cpu', atMost: 22 },
    { contender: DISK, against: HELPER, figure: 'rate', atLeast: 0.6 },
  ],
  async prepare(options) {
    const server = await startSimulator('elasticsearch', ['--store', 'ids']);
    const jupalcf = installPack(JUPALCF_PACK);
    const contenders = await Promise.all([
      ourNode(server, options, MEMORY, 'memory'),
      ourNode(server, options, DISK, 'disk'),
      bulkHelper(server, options),
      handBuilt(server, options),
      ...(jupalcf ? [otherNode(server, options, jupalcf)] : []),
    ]);
    const [first, ...others] = contenders as [Contender, ...Contender[]];
    return [{ ...first, close: () => Promise.all([first.close(), server.close()]).then(() => {}) }, ...others];
  },
};

function ourNode(server: SimulatorProcess, options: BenchmarkOptions, name: string, buffer: 'memory' | 'disk') {
  return flow(server, options, name, 'documentId', [
    { id: 'connection', type: 'es-connection', nodes: server.url, verifyCertificate: true, requestTimeoutSeconds: 30 },
    {
      id: 'first',
      type: 'es-bulk-out',
      z: 'tab',
      connection: 'connection',
      index: INDEX,
      dataStream: false,
      batchDocuments: BATCH_DOCUMENTS,
      batchBytes: BATCH_BYTES,
      batchSeconds: 1,
      concurrency: CONCURRENCY,
      retryBaseSeconds: 1.5,
      retryMaxSeconds: 30,
      buffer,
      bufferDocuments: 100_000,
      bufferBytes: 100_000_000,
      overflow: 'refuse',
      settle: true,
      wires: [['source'], []],
    },
  ]);
}

async function bulkHelper(server: SimulatorProcess, options: BenchmarkOptions): Promise<Contender> {
  const script = await startScript('bulk-helper.js', HELPER, options);
  const order = { url: server.url, index: INDEX, flushBytes: BATCH_BYTES, concurrency: CONCURRENCY };
  return {
    name: HELPER,
    run: async (documents) => {
      const figures = await script.run({ ...order, documents });
      await checkStored(server, documents, eventId);
      return { items: documents, ...figures };
    },
    close: () => script.close(),
  };
}

function handBuilt(server: SimulatorProcess, options: BenchmarkOptions) {
  const encode = [
    "let body = '';",
    'for (const event of msg.payload) {',
    `  body += JSON.stringify({ index: { _index: '${INDEX}', _id: event.id } }) + '\\n' + JSON.stringify(event) + '\\n';`,
    '}',
    'msg.payload = body;',
    "msg.headers = { 'content-type': 'application/x-ndjson' };",
    'return msg;',
  ];
  const check = [
    "if (msg.statusCode !== 200 || msg.payload.errors) throw new Error('The batch has failed.');",
    'msg.payload = { delivered: msg.payload.items.length };',
    'return msg;',
  ];
  return flow(server, options, HAND_BUILT, 'documentId', [
    {
      id: 'first',
      type: 'join',
      z: 'tab',
      mode: 'custom',
      build: 'array',
      property: 'payload',
      propertyType: 'msg',
      key: 'topic',
      joiner: '\\n',
      joinerType: 'str',
      accumulate: false,
      timeout: '1',
      count: String(BATCH_DOCUMENTS),
      wires: [['encode']],
    },
    functionNode('encode', encode, 'request'),
    {
      id: 'request',
      type: 'http request',
      z: 'tab',
      method: 'POST',
      ret: 'obj',
      paytoqs: 'ignore',
      url: `${server.url}/_bulk`,
      persist: true,
      headers: [],
      wires: [['check']],
    },
    functionNode('check', check, 'source'),
  ]);
}

function functionNode(id: string, lines: string[], next: string): FlowEntry {
  return { id, type: 'function', z: 'tab', func: lines.join('\n'), outputs: 1, libs: [], wires: [[next]] };
}

async function otherNode(server: SimulatorProcess, options: BenchmarkOptions, folder: string): Promise<Contender> {
  const entries: FlowEntry[] = [
    { id: 'connection', type: 'elasticsearch-config', server: server.url, apiVersion: '7.x' },
    {
      id: 'first',
      type: 'elasticsearch-index',
      z: 'tab',
      server: 'connection',
      index: INDEX,
      wires: [['source']],
    },
  ];
  // A 25th takes it as long as a whole round takes the others.
  return { ...(await flow(server, options, JUPALCF, 'esId', entries, [folder])), share: 1 / 25 };
}

/** A Node-RED with a source of documents that is wired to the node `first` of the flow. */
async function flow(
  server: SimulatorProcess,
  options: BenchmarkOptions,
  name: string,
  idProperty: string,
  entries: FlowEntry[],
  nodesDir: string[] = [],
): Promise<Contender> {
  const tab: FlowEntry[] = [
    { id: 'tab', type: 'tab', label: name },
    { id: 'source', type: 'bench-source', z: 'tab', idProperty, wires: [['first']] },
  ];
  const nodeRed = await startMeasuredNodeRed(name, [...tab, ...entries], options, { nodesDir });
  return {
    name,
    run: async (documents) => {
      const figures = await askSource(nodeRed, `run?documents=${documents}&window=${WINDOW}`);
      await checkStored(server, documents, eventId);
      return { items: documents, ...figures };
    },
    close: async () => {
      await nodeRed.stop();
    },
  };
}
