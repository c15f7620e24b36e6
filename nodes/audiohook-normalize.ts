import { hostname } from 'node:os';
import type { NodeMessage } from 'node-red';
import { settleDelivery } from '../lib/core/deliveries';
import { packageVersion } from '../lib/core/version';
import { type EventMessage, Normalizer } from '../lib/genesys/normalize';
import { asFields } from '../lib/genesys/operational-event';
import { type SeverityMap, severityMapProblem } from '../lib/genesys/severity';
import { EventTally } from '../lib/genesys/tally';
import { json, readConfig, text } from '../lib/red/config';
import { onInputDeferred, type Send } from '../lib/red/input';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

const FIELDS = {
  instance: text({ default: `${hostname()}-${process.pid}` }),
  labels: json({ default: {}, check: isObject, expected: 'an object of labels' }),
  severityMap: json({ default: {}, check: isSeverityMap, expected: 'a severity map' }),
};

/** A message as it comes in and, with the document in it, goes out. */
type NormalizeMessage = NodeMessage &
  EventMessage & {
    delivery?: unknown;
    parts?: unknown;
    /** The identifier of the document. */
    documentId?: string;
  };

/** audiohook-normalize: one document out of every event, whichever way it came. */
export default function audiohookNormalize(RED: Red): void {
  registerNode(RED, 'audiohook-normalize', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const tally = new EventTally();
  const status = new Status(RED, node, tally.sources);
  const config = readConfig(RED, node, definition, FIELDS);
  if (!config.ok) {
    const error = status.cannotStart(config.error);
    onInputDeferred(node, (_message, _send, done) => done(error));
    return;
  }
  const { instance, labels, severityMap } = config.value;
  const normalizer = new Normalizer({
    host: hostname(),
    instance,
    version: packageVersion,
    labels,
    severity: severityMap,
  });

  const sendOne = (message: NormalizeMessage, send: Send, index?: number) => {
    const { id, document, event } = normalizer.normalize(message, index);
    tally.count(document.op, event.kind);
    message.payload = document;
    message.documentId = id;
    if (document.correlationId !== null) message.correlationId ??= document.correlationId;
    send(message);
  };

  onInputDeferred(node, (given, send, done) => {
    const message = given as NormalizeMessage;
    if (!Array.isArray(message.payload)) {
      sendOne(message, send);
    } else {
      const { payload: events, delivery, eventId: _ofOneEvent, ...shared } = message;
      // A delivery is settled once: with the last of its events, and here when it has none.
      if (events.length === 0) settleDelivery(message, { kind: 'acknowledge' });
      for (const [index, payload] of events.entries()) {
        const isLast = index === events.length - 1;
        const part = RED.util.cloneMessage(shared) as NormalizeMessage;
        const { parts } = shared;
        const place = { id: shared._msgid, type: 'array', count: events.length, index, ...(parts ? { parts } : {}) };
        sendOne({ ...part, payload, parts: place, ...(isLast && delivery ? { delivery } : {}) }, send, index);
      }
    }
    done();
  });
  status.set('idle');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return asFields(value) !== undefined;
}

/** Throws the end of a sentence that begins "the property severityMap must". */
function isSeverityMap(value: unknown): value is SeverityMap {
  const problem = severityMapProblem(value);
  if (problem !== undefined) throw new Error(`be ${problem}`);
  return true;
}
