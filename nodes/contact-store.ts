import { ContactError } from '../lib/core/errors';
import { adminRoute } from '../lib/red/admin';
import { type ConfigResult, choice, readConfig, readForm, secret, text, url } from '../lib/red/config';
import { onClose } from '../lib/red/input';
import { nodeLogger } from '../lib/red/logger';
import type { Definition, Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { Status } from '../lib/red/status';
import { stateFolder } from '../lib/red/user-dir';
import { ContactStore, type ContactStoreOptions, type StoreKind } from '../lib/store/contact-store';

/** What the nodes that use a contact-store find on it. */
export interface ContactStoreNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. Hold it for as long as it is used. */
  state?: ContactStore;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const FIELDS = {
  kind: choice(['auto', 'memory', 'embedded', 'redis'], { default: 'auto' }),
  url: url({ protocols: ['redis:', 'rediss:'] }),
  password: secret({
    credential: 'password',
    environmentProperty: 'passwordEnvironment',
    environment: 'REDIS_PASSWORD',
  }),
  prefix: text({ default: 'contact-center:' }),
};
type Form = ReturnType<typeof readForm<typeof FIELDS>>;

const TEXTS: Record<StoreKind, string> = { memory: 'store-memory', embedded: 'store-embedded', redis: 'store-redis' };
/** Closing waits so long for the nodes that still write, in milliseconds. */
const HELD_AT_MOST_MS = 4_000;

/** contact-store: where nodes keep what must outlive a restart, for one process or for several. */
export default function contactStore(RED: Red): void {
  adminRoute(RED, {
    method: 'post',
    path: '/contact-center/contact-store/test',
    permission: 'contact-store.write',
    handler: (request) => test(RED, readForm(RED, request.body, FIELDS)),
  });
  registerNode<ContactStoreNode>(RED, 'contact-store', (node, definition) => start(RED, node, definition), {
    password: 'password',
  });
}

function start(RED: Red, node: ContactStoreNode, definition: Definition): void {
  const status = new Status(RED, node, {
    details: () => ({ ...node.state?.report() }),
    metrics: () => [
      {
        name: 'contact_center_store_alone',
        help: 'Whether the shared store is away, so that this process works with its own copy.',
        type: 'gauge',
        value: node.state?.alone ? 1 : 0,
      },
    ],
  });
  const config = optionsOf(RED, node.id, readConfig(RED, node, definition, FIELDS));
  if (!config.ok) {
    node.problem = status.cannotStart(config.error);
    return;
  }
  const state = new ContactStore({ ...config.value, logger: nodeLogger(RED, node) });
  node.state = state;
  const show = () => {
    if (state.alone) {
      const reason = `Redis is away (${state.report().problem ?? 'no answer'}); this process goes on alone with its own copy.`;
      status.set('disconnected', { text: 'alone', reason });
    } else {
      status.set('connected', { text: TEXTS[state.kind] });
    }
  };
  const leave = state.onChange(show);
  show();
  onClose(node, () => {
    leave();
    return state.close(HELD_AT_MOST_MS);
  });
}

/** With `auto` it is Redis when there is an address, and the disk otherwise. */
function optionsOf(RED: Red, name: string, form: Form): ConfigResult<ContactStoreOptions> {
  if (!form.ok) return form;
  const { url: address, kind: wanted, ...rest } = form.value;
  const kind: StoreKind = wanted === 'auto' ? (address === undefined ? 'embedded' : 'redis') : wanted;
  if (kind === 'redis' && address === undefined) {
    const answer = 'the property url (environment variable REDIS_URL) is not set';
    return { ok: false, error: new ContactError('CONFIGURATION', { attempted: 'use Redis', answer }) };
  }
  return { ok: true, value: { ...rest, kind, name, url: address, folder: stateFolder(RED) } };
}

async function test(RED: Red, form: Form): Promise<Record<string, unknown>> {
  const options = optionsOf(RED, 'test', form);
  if (!options.ok) throw options.error;
  const state = new ContactStore(options.value);
  try {
    return { ok: true, kind: state.kind, ...(await state.check()) };
  } finally {
    await state.close();
  }
}
