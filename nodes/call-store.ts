import { join, resolve } from 'node:path';
import { CallBook } from '../lib/calls/call-book';
import { openEmbeddedCallStore } from '../lib/calls/embedded-store';
import { addFirstUser } from '../lib/calls/login';
import { MemoryCallStore } from '../lib/calls/memory-store';
import { CallMetrics } from '../lib/calls/metrics';
import { openPostgresqlCallStore } from '../lib/calls/postgresql-store';
import type { CallStore } from '../lib/calls/store';
import { systemClock } from '../lib/core/clock';
import { ContactError, toContactError } from '../lib/core/errors';
import { adminRoute, readForm } from '../lib/red/admin';
import { boolean, choice, integer, readConfig, secret, text } from '../lib/red/config';
import { guard, onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';

/** What the nodes that use a call-store find on it. */
export interface CallStoreNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  calls?: {
    store: CallStore;
    book: CallBook;
    /** Without a database there are no users, so that nobody can get a token here. */
    hasUsers: boolean;
  };
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  kind: choice(['auto', 'memory', 'embedded', 'postgresql'], { default: 'auto' }),
  disabled: boolean({ default: false }),
  databaseUrl: secret({
    credential: 'databaseUrl',
    environmentProperty: 'databaseUrlEnvironment',
    environment: 'DATABASE_URL',
  }),
  folder: text({ default: 'contact-center/calls' }),
  firstUser: text(),
  firstUserHash: secret({
    credential: 'firstUserHash',
    environmentProperty: 'firstUserHashEnvironment',
    environment: 'API_PASSWORD_HASH',
  }),
  retentionDays: integer({ default: 90, min: 0, max: 36_500 }),
};
type Form = ReturnType<typeof readForm<typeof FIELDS>>;
type Settings = Extract<Form, { ok: true }>['value'];

const KIND_TEXTS = { memory: 'calls-memory', embedded: 'calls-embedded', postgresql: 'calls-postgresql' };
const DAY_MS = 86_400_000;
const TIDY_EVERY_MS = 3_600_000;
/** Time that is left for the other nodes and for the store itself when a flow is stopped. */
const WRITE_WITHIN_MS = 3_000;

/** call-store: where calls and the users of the call API are kept. */
export default function callStore(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/call-store/test',
    permission: 'call-store.write',
    handler: async (request) => {
      const form = readForm(RED, request.body, FIELDS);
      if (!form.ok) throw form.error;
      const store = open(RED, form.value);
      const began = systemClock.now();
      try {
        await store.check();
        const users = await store.users();
        return { ok: true, kind: store.kind, users: users.length, ms: systemClock.now() - began };
      } finally {
        await store.close();
      }
    },
  });
  registerNode<CallStoreNode>(RED, 'call-store', (node, definition) => start(RED, node, definition), {
    databaseUrl: 'password',
    firstUserHash: 'password',
  });
}

function start(RED: Red, node: CallStoreNode, definition: Definition): void {
  const logger = nodeLogger(RED, node);
  const metrics = new CallMetrics();
  const status = new Status(RED, node, {
    details: () => ({ kind: node.calls?.store.kind, waiting: node.calls?.book.state.waiting }),
    metrics: () => metrics.all(node.calls?.book.state.waiting ?? 0),
  });
  const form = readConfig(RED, node, definition, FIELDS);
  const refuse = (error: ContactError) => {
    node.problem = error;
    status.set('not-configured', { reason: error.message });
    logger.error(error.message, { code: error.code });
  };
  if (!form.ok) {
    refuse(form.error);
    return;
  }
  const { firstUser, firstUserHash, disabled, retentionDays } = form.value;
  let store: CallStore;
  try {
    store = open(RED, form.value);
  } catch (thrown) {
    refuse(toContactError(thrown, 'open the call store'));
    return;
  }
  const book = new CallBook({ store, logger });
  node.calls = { store, book, hasUsers: !disabled };
  book.onUpdate(({ call, transitions }) => metrics.take(call, transitions));
  const show = () => {
    const { state, error } = book.state;
    if (state === 'working') status.set('connected', { text: KIND_TEXTS[store.kind] });
    else status.set('disconnected', error ? { text: 'database-away', reason: error.message } : {});
  };
  book.onState(show);
  status.set('connecting');

  let isReady = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Finds out whether the store answers, puts the first user into it, and forgets what is old. */
  const look = guard(node, async () => {
    clearTimeout(timer);
    let waitMs = TIDY_EVERY_MS;
    try {
      await store.check();
      if (!isReady && firstUser !== undefined && firstUserHash !== undefined && !disabled) {
        if (await addFirstUser(store, firstUser, firstUserHash)) logger.info(`Added the first user ${firstUser}`);
      }
      if (retentionDays > 0) await store.forget(systemClock.now() - retentionDays * DAY_MS);
      if (!isReady) show();
      isReady = true;
    } catch (thrown) {
      const error = toContactError(thrown, 'open the call store');
      if (error.code === 'CLOSED') return;
      if (error.code === 'CONFIGURATION' && error.reason === undefined) {
        refuse(error);
        return;
      }
      status.set(error.code === 'REFUSED' ? 'refused' : 'disconnected', {
        text: 'database-away',
        reason: error.message,
      });
      waitMs = 5_000;
    }
    timer = setTimeout(look, waitMs);
    timer.unref();
  });
  look();

  onClose(node, async () => {
    clearTimeout(timer);
    await book.close(WRITE_WITHIN_MS);
    await store.close();
  });
}

function open(RED: Red, { kind, disabled, databaseUrl, folder }: Settings): CallStore {
  const chosen = disabled ? 'memory' : kind === 'auto' ? (databaseUrl ? 'postgresql' : 'embedded') : kind;
  if (chosen === 'memory') return new MemoryCallStore();
  if (chosen === 'postgresql') {
    if (databaseUrl && URL.canParse(databaseUrl) && /^postgres(ql)?:$/.test(new URL(databaseUrl).protocol)) {
      return openPostgresqlCallStore({ url: databaseUrl });
    }
    throw new ContactError('CONFIGURATION', {
      attempted: 'use the database',
      answer: databaseUrl
        ? 'its address does not begin with postgresql://'
        : 'the credential databaseUrl is not set, nor is the environment variable DATABASE_URL',
    });
  }
  const { userDir } = RED.settings;
  // A runtime without a user directory (embedded in a test, say) has no place on disk.
  return userDir ? openEmbeddedCallStore(resolve(join(userDir, folder))) : new MemoryCallStore();
}
