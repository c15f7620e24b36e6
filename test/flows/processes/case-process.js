// One process that makes Cases of conversations, without Node-RED around it: quick to start, and quick to kill.
// Its settings come as JSON in SETTINGS. It prints "ready" when it polls.
const { mkdirSync } = require('node:fs');
const { join } = require('node:path');

const lib = (name) => require(join(__dirname, '../../../dist/lib', name));
const { CodyClient } = lib('cody/client');
const { CodyPoller } = lib('cody/poller');
const { settleDelivery } = lib('core/deliveries');
const { Outbox } = lib('core/outbox');
const { MemorySpool } = lib('core/spool');
const { ContactStore } = lib('store/contact-store');
const { openEmbeddedStore } = lib('store/embedded');
const { ZohoAccount } = lib('zoho/account');
const { DEFAULT_FIELDS } = lib('zoho/case-settings');
const { CaseWriter } = lib('zoho/case-writer');
const { readConversation } = lib('zoho/conversation');

// It must not outlive the test.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const settings = JSON.parse(process.env.SETTINGS);
mkdirSync(settings.folder, { recursive: true });
const state = new ContactStore({ kind: 'redis', name: 'state', url: settings.redisUrl, folder: settings.folder });

/** Holds what tells that the answer has arrived back from the store, and dies when that is so for all chats. */
const dieAt = (prefix, isIt) => {
  const { set } = state.store;
  const held = new Set();
  state.store.set = (key, value, keeping) => {
    if (!key.startsWith(prefix) || !isIt(value)) return set.call(state.store, key, value, keeping);
    held.add(key);
    if (held.size === settings.chats) process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  };
};
if (settings.dieAt === 'case') dieAt('zoho-case/', ({ caseId }) => caseId !== undefined);
if (settings.dieAt === 'checkpoint') dieAt('cody-open/', ({ committed }) => committed !== undefined);

const account = new ZohoAccount({
  accountsUrl: settings.zohoUrl,
  apiUrl: undefined,
  apiVersion: 'v8',
  clientId: settings.clientId,
  clientSecret: settings.clientSecret,
  refreshToken: settings.refreshToken,
  store: state.store,
  timeoutMs: 400,
});
const writer = new CaseWriter({
  client: account.client,
  account: account.key,
  owner: settings.owner,
  claimMs: 1_500,
  state,
  settings: {
    subjectPrefix: 'Cody Chat -',
    descriptionTemplate: '{transcript}',
    timeZone: 'UTC',
    origin: 'Web',
    status: 'Closed',
    contactName: 'Cody Chat',
    fields: DEFAULT_FIELDS,
    note: settings.note,
    longTranscript: 'attachment',
    duplicateCheck: true,
    uniqueField: 'auto',
  },
});
const outbox = new Outbox({
  spool: new MemorySpool(),
  batch: { items: 1, bytes: 10_000_000, ageMs: 0 },
  concurrency: settings.chats,
  limits: { items: 1_000, bytes: 100_000_000 },
  overflow: 'refuse',
  backoff: { baseMs: 50, maxMs: 300 },
  breaker: { minimumCalls: 1_000 },
  send: async ([{ context }], signal) => {
    const { verdict, scope } = await writer.write(readConversation(context.payload), signal);
    return scope === 'all' ? verdict : [verdict];
  },
  onEnding: ({ context }, { kind, error }) =>
    settleDelivery(context, kind === 'rejected' ? { kind: 'dead-letter', error } : { kind: 'acknowledge' }),
});
const poller = new CodyPoller({
  client: new CodyClient({ apiUrl: settings.codyUrl, apiKey: settings.codyKey }),
  scope: 'crashes',
  owner: settings.owner,
  settings: {
    botId: undefined,
    intervalMs: 150,
    settleMs: 0,
    capMs: 3_600_000,
    watchMs: 3_600_000,
    startFrom: 'now',
    dryRun: false,
    capacity: 20,
    settleTimeoutMs: 60_000,
    settle: true,
    timeZone: 'UTC',
  },
  state,
  local: openEmbeddedStore(settings.folder),
  send: (message) => outbox.offer('{}', message),
  onChange: () => {},
});
process.on('message', async () => {
  await poller.close();
  const isIdle = ({ queued, inFlight }) => queued + inFlight === 0;
  while (!isIdle(outbox.snapshot())) await new Promise((resolve) => setTimeout(resolve, 20));
  process.exit(0);
});
poller.start();
process.stdout.write('ready\n');
