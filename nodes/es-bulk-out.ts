import type { NodeMessage } from 'node-red';
import { toContactError } from '../lib/core/errors';
import { sendBulk } from '../lib/elastic/bulk';
import { decodeDocument, encodeDocument } from '../lib/elastic/encode';
import { INDEX_PATTERN, IndexName } from '../lib/elastic/index-name';
import { inTrace } from '../lib/elastic/trace-fields';
import { boolean, choice, configNode, integer, number, text, type Values } from '../lib/red/config';
import { onClose, onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { type Definition, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { type FailedMessage, SETTLE, Sink } from '../lib/red/sink';
import { startSink } from '../lib/red/sink-node';
import { traceOf } from '../lib/red/tracing';
import type { EsConnectionNode } from './es-connection';

const FIELDS = {
  connection: configNode<EsConnectionNode>('es-connection'),
  index: text({
    default: 'genesys-audiohook',
    pattern: INDEX_PATTERN,
    expected:
      'a name that Elasticsearch takes for an index, in lower case, with dates such as {yyyy.MM.dd} in it or not',
  }),
  dataStream: boolean({ default: false }),
  batchDocuments: integer({ default: 200, min: 1, max: 10_000 }),
  batchBytes: integer({ default: 5_000_000, min: 1, max: 100_000_000 }),
  batchSeconds: number({ default: 5, min: 0.1, max: 3_600 }),
  concurrency: integer({ default: 2, min: 1, max: 32 }),
  retryBaseSeconds: number({ default: 1.5, min: 0.1, max: 3_600 }),
  retryMaxSeconds: number({ default: 30, min: 0.1, max: 3_600 }),
  buffer: choice(['memory', 'disk'], { default: 'memory' }),
  bufferDocuments: integer({ default: 100_000, min: 1, max: 100_000_000 }),
  bufferBytes: integer({ default: 100_000_000, min: 1, max: 1_000_000_000_000 }),
  overflow: choice(['refuse', 'drop-oldest', 'drop-newest'], { default: 'refuse' }),
  settle: SETTLE,
};

type Config = Values<typeof FIELDS>;

/** es-bulk-out: documents into Elasticsearch, in batches, with a verdict for each. */
export default function esBulkOut(RED: Red): void {
  registerNode(RED, 'es-bulk-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  startSink(RED, node, definition, FIELDS, {
    open: (config) => openSink(RED, node, config),
    takeIn: (sink, config) => takeIn(node, sink, config),
    failedMessage,
  });
}

function openSink(RED: Red, node: RuntimeNode, config: Config): Sink {
  const connection = offered(config.connection, 'connection');
  const sink = new Sink(RED, node, {
    batch: { items: config.batchDocuments, bytes: config.batchBytes, ageMs: config.batchSeconds * 1_000 },
    concurrency: config.concurrency,
    buffer: config.buffer,
    limits: { items: config.bufferDocuments, bytes: config.bufferBytes },
    overflow: config.overflow,
    backoff: { baseMs: config.retryBaseSeconds * 1_000, maxMs: config.retryMaxSeconds * 1_000 },
    send: (entries, signal) => sendBulk(connection, entries, signal),
    onBatch: ({ items, tookMs, ...report }) => {
      node.send([{ topic: 'batch', payload: { documents: items, ...report, took: tookMs } } as NodeMessage, null]);
    },
    failedMessage,
  });
  const leave = connection.use();
  onClose(node, (removed) => sink.close(removed).finally(leave));
  return sink;
}

function takeIn(node: RuntimeNode, sink: Sink, { index: pattern, dataStream, settle }: Config): void {
  const operation = dataStream ? 'create' : 'index';
  const indexName = new IndexName(pattern);
  onInputDeferred(node, (message, _send, done) => {
    const { payload, documentId, index } = message as { payload?: unknown; documentId?: unknown; index?: unknown };
    const isMany = Array.isArray(payload);
    const documents: unknown[] = isMany ? payload : [payload];
    const intake = new IntakeMessage(message, documents.length, settle, done);
    const trace = traceOf(message);
    for (const [position, given] of documents.entries()) {
      const document = trace ? inTrace(given, trace) : given;
      const own = Array.isArray(documentId) ? documentId[position] : undefined;
      let body: string;
      try {
        body = encodeDocument({ document, id: isMany ? own : documentId, index }, operation, indexName, Date.now());
      } catch (thrown) {
        sink.refuse({ ...message, payload: document }, toContactError(thrown, 'index a document'), intake);
        continue;
      }
      sink.offer(body, intake);
    }
  });
}

/** The message that a document came in, or one with the document if it came in an array or was on disk. */
const failedMessage: FailedMessage = ({ context, body }) => {
  const { document: payload, id: documentId, index } = decodeDocument(body);
  return context?.documents === 1 ? context.message : { documentId, index, payload };
};
