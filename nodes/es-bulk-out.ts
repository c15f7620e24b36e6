import { join } from 'node:path';
import type { NodeMessage } from 'node-red';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import { type Ending, Outbox, type OutboxState } from '../lib/core/outbox';
import { DiskSpool, type Entry, MemorySpool } from '../lib/core/spool';
import { sendBulk } from '../lib/elastic/bulk';
import { decodeDocument, encodeDocument } from '../lib/elastic/encode';
import { IndexName } from '../lib/elastic/index-name';
import { boolean, choice, configNode, integer, number, readConfig, text } from '../lib/red/config';
import { onClose, onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { outboxReport, showOutbox } from '../lib/red/outbox-status';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import type { EsConnectionNode } from './es-connection';

const FIELDS = {
  connection: configNode<EsConnectionNode>('es-connection'),
  index: text({ default: 'genesys-audiohook' }),
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
  settle: boolean({ default: true }),
};

/** A document that waits, and the message that it came in. */
type Waiting = IntakeMessage;
/** What a memory buffer still held at a deploy, by node id: the next instance of the node goes on with it. */
const handedOver = new Map<string, Entry<Waiting>[]>();

/** es-bulk-out: documents into Elasticsearch, in batches, with a verdict for each. */
export default function esBulkOut(RED: Red): void {
  registerNode(RED, 'es-bulk-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  let outbox: Outbox<Waiting> | undefined;
  const status: Status = new Status(
    RED,
    node,
    outboxReport(() => outbox),
  );
  const config = readConfig(RED, node, definition, FIELDS);
  const problem = config.ok ? config.value.connection.problem : config.error;
  if (!config.ok || !config.value.connection.connection) {
    const error = problem ?? new ContactError('CONFIGURATION', { attempted: 'use the Elasticsearch connection' });
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
    onInputDeferred(node, (message, send, done) => {
      send([null, { ...message, error: messageError(error, 0) } as NodeMessage]);
      done(error);
    });
    return;
  }
  const { connection: user, buffer, bufferDocuments, bufferBytes, overflow, settle, ...rest } = config.value;
  const connection = user.connection as NonNullable<EsConnectionNode['connection']>;
  const isOnDisk = buffer === 'disk';
  const folder = join(RED.settings.userDir ?? '.', 'contact-center', 'spool', node.id);

  const end = (entry: Entry<Waiting>, ending: Ending) => {
    const failure = 'error' in ending ? ending.error : undefined;
    if (failure) node.send([null, failureMessage(entry, failure)]);
    entry.context?.ended(failure);
  };
  const show = (state: OutboxState) => outbox && showOutbox(status, outbox, state);
  outbox = new Outbox<Waiting>({
    spool: isOnDisk ? new DiskSpool(folder) : new MemorySpool(),
    batch: { items: rest.batchDocuments, bytes: rest.batchBytes, ageMs: rest.batchSeconds * 1_000 },
    concurrency: rest.concurrency,
    limits: { items: bufferDocuments, bytes: bufferBytes },
    overflow,
    backoff: { baseMs: rest.retryBaseSeconds * 1_000, maxMs: rest.retryMaxSeconds * 1_000 },
    send: (entries, signal) => sendBulk(connection, entries, signal),
    onEnding: end,
    onBatch: ({ items, tookMs, ...report }) => {
      node.send([{ topic: 'batch', payload: { documents: items, ...report, took: tookMs } } as NodeMessage, null]);
      if (outbox?.state.state === 'working') showOutbox(status, outbox, outbox.state);
    },
    onState: (state) => {
      show(state);
      if (state.error) logger.warn(state.error.message, { code: state.error.code });
    },
  });
  show(outbox.state);
  const running = outbox;
  const leave = connection.use();
  for (const { body, context } of handedOver.get(node.id) ?? []) running.offer(body, context as Waiting, () => {});
  handedOver.delete(node.id);

  const operation = rest.dataStream ? 'create' : 'index';
  const indexName = new IndexName(rest.index);
  onInputDeferred(node, (message, send, done) => {
    const { payload, documentId, index } = message as { payload?: unknown; documentId?: unknown; index?: unknown };
    const isMany = Array.isArray(payload);
    const documents: unknown[] = isMany ? payload : [payload];
    const intake = new IntakeMessage(message, documents.length, settle, done);
    for (const document of documents) {
      let body: string;
      try {
        body = encodeDocument(
          { document, id: isMany ? undefined : documentId, index },
          operation,
          indexName,
          Date.now(),
        );
      } catch (thrown) {
        const error = toContactError(thrown, 'index a document');
        running.refuse();
        send([null, { ...message, payload: document, error: messageError(error, 0) } as NodeMessage]);
        intake.ended(error);
        continue;
      }
      running.offer(body, intake, (error) => {
        // On disk the document is safe: the message is done, whatever Elasticsearch will say of it.
        if (isOnDisk && !error) intake.ended();
      });
    }
  });
  onClose(node, async (removed) => {
    const left = await running.close(3_500).finally(leave);
    if (left.length === 0) return;
    if (!removed) handedOver.set(node.id, left);
    const error = new ContactError('CLOSED', { attempted: 'index a document' });
    if (removed) for (const entry of left) end(entry, { kind: 'rejected', error });
  });
}

function failureMessage(entry: Entry<Waiting>, failure: ContactError): NodeMessage {
  const error = messageError(failure, entry.attempts);
  const { context, body } = entry;
  const { document: payload, id: documentId, index } = decodeDocument(body);
  const whole = context?.documents === 1 ? context.message : { documentId, index, payload };
  return { ...whole, error } as NodeMessage;
}
