import type { NodeMessage } from 'node-red';
import { ContactError, messageError, toContactError } from '../lib/core/errors';
import { isTimeZone } from '../lib/core/local-time';
import type { Entry } from '../lib/core/spool';
import { adminRoute } from '../lib/red/admin';
import { boolean, choice, configNode, integer, json, readConfig, text, type Values } from '../lib/red/config';
import { type Done, onClose, onInputDeferred } from '../lib/red/input';
import { IntakeMessage } from '../lib/red/intake';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, type Red, type RuntimeNode } from '../lib/red/node';
import { outboxReport } from '../lib/red/outbox-status';
import { processIdOf } from '../lib/red/process-id';
import { registerNode } from '../lib/red/register';
import { type FailedMessage, refuseMessages, Sink } from '../lib/red/sink';
import { Status } from '../lib/red/status';
import { DEFAULT_FIELDS, isFieldMapping } from '../lib/zoho/case-settings';
import type { CaseResult } from '../lib/zoho/case-work';
import { CaseWriter } from '../lib/zoho/case-writer';
import { type CaseConversation, readConversation } from '../lib/zoho/conversation';
import { CaseCounters, caseMetrics } from '../lib/zoho/report';
import { SchemaReader, type ZohoField } from '../lib/zoho/schema';
import type { ContactStoreNode } from './contact-store';
import type { ZohoOauthNode } from './zoho-oauth';

const FIELDS = {
  account: configNode<ZohoOauthNode>('zoho-oauth'),
  store: configNode<ContactStoreNode>('contact-store'),
  subjectPrefix: text({ default: 'Cody Chat -' }),
  descriptionTemplate: text({ default: '{transcript}' }),
  timeZone: text(),
  origin: text({ default: 'Web' }),
  caseStatus: text({ default: 'Closed' }),
  contactName: text({ default: 'Cody Chat' }),
  fields: json({ default: [...DEFAULT_FIELDS], check: isFieldMapping, expected: 'a list of sources and fields' }),
  // The original service had two names for it.
  note: boolean({ default: false, environment: 'ENABLE_NOTES' }),
  longTranscript: choice(['attachment', 'note'], { default: 'attachment' }),
  duplicateCheck: boolean({ default: true }),
  uniqueField: choice(['auto', 'yes', 'no'], { default: 'auto' }),
  concurrency: integer({ default: 4, min: 1, max: 20 }),
  bufferConversations: integer({ default: 1_000, min: 1, max: 100_000 }),
  settle: boolean({ default: true }),
};

type Config = Values<typeof FIELDS>;

/** What the buffer holds at most besides its number of conversations. */
const BUFFER_BYTES = 200_000_000;
const BACKOFF = { baseMs: 1_000, maxMs: 60_000 };

/** zoho-case-out: exactly one Case in Zoho CRM for each conversation. */
export default function zohoCaseOut(RED: Red): void {
  adminRoute(RED, {
    method: 'get',
    path: '/contact-center/zoho-case-out/fields',
    permission: 'zoho-case-out.read',
    handler: ({ query }) => caseFields(RED, query['account']),
  });
  registerNode(RED, 'zoho-case-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const counters = new CaseCounters();
  let sink: Sink | undefined;
  const config = readConfig(RED, node, definition, FIELDS);
  const status = new Status(RED, node, {
    ...outboxReport(() => sink?.outboxes ?? []),
    metrics: () => caseMetrics(counters, config.ok ? config.value.account.account?.client.counters : undefined),
    groups: () => ({ conversations: { cases_created: counters.created } }),
  });
  try {
    if (!config.ok) throw config.error;
    sink = openSink(RED, node, config.value, counters);
    sink.show(status);
    takeIn(node, sink, config.value.settle, counters);
  } catch (thrown) {
    const error = toContactError(thrown, 'start the node');
    status.set(error.code === 'CONFIGURATION' ? 'not-configured' : 'failed', { reason: error.message });
    nodeLogger(RED, node).error(error.message, { code: error.code });
    const settling = readConfig(RED, node, definition, { settle: FIELDS.settle });
    refuseMessages(node, error, settling.ok && settling.value.settle, failedMessage);
  }
}

function openSink(RED: Red, node: RuntimeNode, config: Config, counters: CaseCounters): Sink {
  const { account, state } = partsOf(config);
  const { concurrency, bufferConversations, caseStatus, ...settings } = config;
  const writer = new CaseWriter({
    client: account.client,
    account: account.key,
    owner: `${processIdOf(RED)}/${node.id}`,
    state,
    settings: { ...settings, status: caseStatus },
    logger: nodeLogger(RED, node),
  });
  const sink = new Sink(RED, node, {
    batch: { items: 1, bytes: BUFFER_BYTES, ageMs: 0 },
    concurrency,
    buffer: 'memory',
    limits: { items: bufferConversations, bytes: BUFFER_BYTES },
    overflow: 'refuse',
    backoff: BACKOFF,
    send: async ([entry], signal) => {
      const { body, context } = entry as Entry<IntakeMessage>;
      const conversation = JSON.parse(body) as CaseConversation;
      const { verdict, scope, result } = await writer.write(conversation, signal);
      if (verdict.kind === 'rejected') counters.rejected += 1;
      if (result) {
        counters.add(result);
        node.send([caseMessage(context?.message ?? {}, conversation, result), null]);
      }
      return scope === 'all' ? verdict : [verdict];
    },
    failedMessage,
  });
  const release = state.hold();
  onClose(node, (removed) => sink.close(removed).finally(release));
  return sink;
}

function takeIn(node: RuntimeNode, sink: Sink, settle: boolean, counters: CaseCounters): void {
  /** Messages with the same conversation as one that waits, by its id: it is written once for all of them. */
  const waiting = new Map<string, { body: string; more: IntakeMessage[] }>();
  onInputDeferred(node, (message, send, done) => {
    let conversation: CaseConversation;
    try {
      conversation = readConversation(message.payload);
    } catch (thrown) {
      const error = toContactError(thrown, 'make a Case of a message');
      counters.rejected += 1;
      sink.refuse();
      send([null, { ...message, error: messageError(error, 0) } as NodeMessage]);
      new IntakeMessage(message, 1, settle, done).ended(error);
      return;
    }
    const { id } = conversation;
    const body = JSON.stringify(conversation);
    const same = waiting.get(id);
    if (same?.body === body) {
      sink.absorb();
      same.more.push(new IntakeMessage(message, 1, settle, done));
      return;
    }
    const group = { body, more: [] as IntakeMessage[] };
    waiting.set(id, group);
    const end: Done = (error) => {
      if (waiting.get(id) === group) waiting.delete(id);
      done(error);
      for (const intake of group.more) intake.ended(error as ContactError | undefined);
    };
    sink.offer(body, new IntakeMessage(message, 1, settle, end));
  });
}

/** What the node needs of its configuration nodes. Throws what is wrong with one of them. */
function partsOf({ account: accountNode, store, timeZone }: Config) {
  const { account, problem } = accountNode;
  const { state } = store;
  if (!account || !state) {
    const attempted = 'use the configuration';
    throw problem ?? store.problem ?? new ContactError('CONFIGURATION', { attempted });
  }
  if (timeZone === undefined || isTimeZone(timeZone)) return { account, state };
  const answer = `the property timeZone must be a zone such as Europe/Berlin, not "${timeZone}"`;
  throw new ContactError('CONFIGURATION', { attempted: 'use the configuration', answer });
}

const failedMessage: FailedMessage = ({ context, body }) => context?.message ?? { payload: JSON.parse(body) };

function caseMessage(message: object, conversation: CaseConversation, result: CaseResult): NodeMessage {
  const { transcript: _whole, ...about } = conversation;
  return { ...message, topic: 'case', payload: result, conversation: about } as unknown as NodeMessage;
}

/** The fields of Cases that can be mapped to, for the dialog. */
async function caseFields(RED: Red, accountId: unknown): Promise<{ ok: true; fields: ZohoField[] }> {
  const account = findConfigNode<ZohoOauthNode>(RED, accountId, 'zoho-oauth')?.account;
  if (!account) {
    throw new ContactError('CONFIGURATION', {
      attempted: 'list the fields of Cases',
      answer: 'the zoho-oauth node is not deployed',
      advice: 'Complete it and deploy first.',
    });
  }
  const read = await new SchemaReader(account.client).read();
  if ('refusal' in read) throw read.refusal.error;
  return { ok: true, fields: [...(read.schema?.values() ?? [])] };
}
