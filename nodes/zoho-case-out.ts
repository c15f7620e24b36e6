import type { NodeMessage } from 'node-red';
import { businessEvents } from '../lib/core/business-events';
import type { Entry } from '../lib/core/spool';
import { adminRoute } from '../lib/red/admin';
import { boolean, choice, configNode, integer, json, text, timeZone, type Values } from '../lib/red/config';
import { onClose, onInputDeferred } from '../lib/red/input';
import type { IntakeMessage } from '../lib/red/intake';
import { JoinedIntake } from '../lib/red/joined-intake';
import { nodeLogger } from '../lib/red/logger';
import { type Definition, findConfigNode, offered, type Red, type RuntimeNode } from '../lib/red/node';
import { processIdOf } from '../lib/red/process-id';
import { registerNode } from '../lib/red/register';
import { type FailedMessage, SETTLE, Sink } from '../lib/red/sink';
import { startSink } from '../lib/red/sink-node';
import { DEFAULT_FIELDS, isFieldMapping } from '../lib/zoho/case-settings';
import { CaseWriter } from '../lib/zoho/case-writer';
import { type CaseConversation, readConversation } from '../lib/zoho/conversation';
import { CaseCounters, caseEvent, caseMessage, caseMetrics } from '../lib/zoho/report';
import { listCaseFields } from '../lib/zoho/schema';
import type { ContactStoreNode } from './contact-store';
import type { ZohoOauthNode } from './zoho-oauth';

const FIELDS = {
  account: configNode<ZohoOauthNode>('zoho-oauth'),
  store: configNode<ContactStoreNode>('contact-store'),
  subjectPrefix: text({ default: 'Cody Chat -' }),
  descriptionTemplate: text({ default: '{transcript}' }),
  timeZone: timeZone(),
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
  settle: SETTLE,
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
    handler: async ({ query }) => {
      const accountNode = findConfigNode<ZohoOauthNode>(RED, query['account'], 'zoho-oauth');
      return { ok: true, fields: await listCaseFields(offered(accountNode, 'account').client) };
    },
  });
  registerNode(RED, 'zoho-case-out', (node, definition) => start(RED, node, definition));
}

function start(RED: Red, node: RuntimeNode, definition: Definition): void {
  const counters = new CaseCounters();
  startSink(RED, node, definition, FIELDS, {
    open: (config) => openSink(RED, node, config, counters),
    takeIn: (sink, { settle }) => takeIn(node, sink, settle, counters),
    failedMessage,
    report: (config) => ({
      metrics: () => caseMetrics(counters, config?.account.account?.client.counters),
      groups: () => ({ conversations: { cases_created: counters.created } }),
    }),
  });
}

function openSink(RED: Red, node: RuntimeNode, config: Config, counters: CaseCounters): Sink {
  const { client, key } = offered(config.account, 'account');
  const state = offered(config.store, 'state');
  const settings = { ...config, status: config.caseStatus };
  const owner = `${processIdOf(RED)}/${node.id}`;
  const writer = new CaseWriter({ client, account: key, owner, state, settings, logger: nodeLogger(RED, node) });
  const sink = new Sink(RED, node, {
    batch: { items: 1, bytes: BUFFER_BYTES, ageMs: 0 },
    concurrency: config.concurrency,
    buffer: 'memory',
    limits: { items: config.bufferConversations, bytes: BUFFER_BYTES },
    overflow: 'refuse',
    backoff: BACKOFF,
    send: async ([entry], signal) => {
      const { body, context } = entry as Entry<IntakeMessage>;
      const conversation = JSON.parse(body) as CaseConversation;
      const began = Date.now();
      const { verdict, scope, result } = await writer.write(conversation, signal);
      counters.count(verdict, result);
      if (result && businessEvents.isOn) businessEvents.tell(caseEvent(conversation, result, Date.now() - began));
      if (result) node.send([caseMessage(context?.message, conversation, result) as NodeMessage, null]);
      return scope === 'all' ? verdict : [verdict];
    },
    failedMessage,
  });
  const release = state.hold();
  onClose(node, (removed) => sink.close(removed).finally(release));
  return sink;
}

function takeIn(node: RuntimeNode, sink: Sink, settle: boolean, counters: CaseCounters): void {
  const read = ({ payload }: NodeMessage) => readConversation(payload);
  const intake = new JoinedIntake({ sink, settle, read, attempted: 'make a Case of a message' });
  onInputDeferred(node, (message, _send, done) => {
    if (!intake.take(message, done)) counters.rejected += 1;
  });
}

const failedMessage: FailedMessage = ({ context, body }) => context?.message ?? { payload: JSON.parse(body) };
