import { homedir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedCallStore } from '../calls/embedded-store';
import { USER_NAME } from '../calls/login';
import { Passwords } from '../calls/passwords';
import { openPostgresqlCallStore } from '../calls/postgresql-store';
import type { ApiUser, CallStore } from '../calls/store';
import { readParameters, readSecret, type Terminal, UsageError } from './terminal';

/** How the command is called. */
export const usage = `contact-center user add NAME        adds a user of the call API
contact-center user passwd NAME     gives a user another password
contact-center user disable NAME    keeps a user from getting tokens
contact-center user enable NAME     lets the user get tokens again
contact-center user list            lists the users
contact-center user hash            prints the hash of a password, for API_PASSWORD_HASH

The password is asked for, or read from the standard input. The users are in the database of --database or
DATABASE_URL; without one they are in the folder of --folder, which is ~/.node-red/contact-center/calls as a rule.`;

type Action = (store: CallStore, name: string, terminal: Terminal) => Promise<void>;

const ACTIONS: Record<string, Action> = {
  add: async (store, name, terminal) => {
    if (!USER_NAME.test(name)) throw new UsageError(`A name has letters, digits and . _ @ - only, not "${name}".`);
    if (await store.user(name)) throw new UsageError(`There is a user ${name} already.`);
    const passwordHash = await newHash(terminal);
    const now = Date.now();
    await store.saveUser({ name, passwordHash, disabled: false, createdAt: now, changedAt: now });
    terminal.output.write(`Added ${name}.\n`);
  },
  passwd: async (store, name, terminal) => {
    const user = await known(store, name);
    await store.saveUser({ ...user, passwordHash: await newHash(terminal), changedAt: Date.now() });
    terminal.output.write(`Changed the password of ${name}.\n`);
  },
  disable: async (store, name, terminal) => {
    await store.saveUser({ ...(await known(store, name)), disabled: true, changedAt: Date.now() });
    terminal.output.write(`Disabled ${name}. Tokens that were issued before are valid until they expire.\n`);
  },
  enable: async (store, name, terminal) => {
    await store.saveUser({ ...(await known(store, name)), disabled: false, changedAt: Date.now() });
    terminal.output.write(`Enabled ${name}.\n`);
  },
};

/** Runs the command; the answer is the exit code. */
export async function run(parameters: string[], terminal: Terminal): Promise<number> {
  const options = { database: { type: 'string' }, folder: { type: 'string' } } as const;
  const { values, positionals } = readParameters(usage, { args: parameters, allowPositionals: true, options });
  const [verb = '', name, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(usage);
  if (verb === 'hash') {
    terminal.output.write(`${await newHash(terminal)}\n`);
    return 0;
  }
  const action = Object.hasOwn(ACTIONS, verb) ? ACTIONS[verb] : undefined;
  if (verb !== 'list' && (!action || name === undefined)) throw new UsageError(usage);
  const store = open(values.database ?? terminal.environment['DATABASE_URL'], values.folder, terminal);
  try {
    if (action && name !== undefined) await action(store, name, terminal);
    else terminal.output.write(table(await store.users()));
    return 0;
  } finally {
    await store.close();
  }
}

function open(url: string | undefined, folder: string | undefined, { environment }: Terminal): CallStore {
  if (url && folder === undefined) return openPostgresqlCallStore({ url, connections: 1 });
  const userDir = environment['NODE_RED_HOME'] ?? join(homedir(), '.node-red');
  return openEmbeddedCallStore(folder ?? join(userDir, 'contact-center', 'calls'));
}

async function known(store: CallStore, name: string): Promise<ApiUser> {
  const user = await store.user(name);
  if (!user) throw new UsageError(`There is no user ${name}.`);
  return user;
}

async function newHash(terminal: Terminal): Promise<string> {
  const password = await readSecret(terminal, 'New password: ');
  const passwords = new Passwords();
  try {
    return await passwords.hash(password);
  } finally {
    await passwords.close();
  }
}

function table(users: ApiUser[]): string {
  if (users.length === 0) return 'There are no users.\n';
  const width = Math.max(...users.map(({ name }) => name.length));
  return users
    .map(({ name, disabled, changedAt }) => {
      const day = new Date(changedAt).toISOString().slice(0, 10);
      return `${name.padEnd(width)}  ${disabled ? 'disabled' : 'active  '}  changed ${day}\n`;
    })
    .join('');
}
