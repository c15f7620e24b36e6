import { createInterface, type Interface } from 'node:readline';
import { ContactError } from '../core/errors';
import { HttpClient } from '../core/http';
import { ZOHO_DATA_CENTERS } from '../zoho/data-centers';
import { exchangeCode, refreshAccess, type ZohoGrant } from '../zoho/oauth';
import { readParameters, readSecret, type Terminal, UsageError } from './terminal';

/** How the command is called. */
export const usage = `contact-center zoho-token           gets a refresh token for Zoho CRM, step by step
contact-center zoho-token --check   tells whether the refresh token in the environment works

The client and the data centre are asked for, or taken from ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET and
ZOHO_ACCOUNTS_BASE_URL. The code and the secret are read from the terminal, or from the standard input.`;

/** The scopes that the nodes need, and the one that makes look-ups certain. */
const SCOPES = 'ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.coql.READ';

const STEPS = (consoleUrl: string) => `
1. Open ${consoleUrl} and add a client of the kind Self Client (once is enough).
2. On its tab "Generate Code" enter
     Scope          ${SCOPES}
     Time Duration  10 minutes
   and click Create. Choose the portal and the organization if you are asked.
3. Copy the code and paste it here: it is good for a few minutes, and once.
`;

/** Runs the command; the answer is the exit code. */
export async function run(parameters: string[], terminal: Terminal): Promise<number> {
  const options = { check: { type: 'boolean' } } as const;
  const { check } = readParameters(usage, { args: parameters, options }).values;
  const http = new HttpClient();
  try {
    return check ? await checkToken(http, terminal) : await getToken(http, terminal);
  } finally {
    http.close();
  }
}

async function getToken(http: HttpClient, terminal: Terminal): Promise<number> {
  const { environment, output, errors } = terminal;
  const questions = new Questions(terminal);
  try {
    const accountsUrl = environment['ZOHO_ACCOUNTS_BASE_URL'] ?? (await chooseDataCenter(questions, terminal));
    const clientId = environment['ZOHO_CLIENT_ID'] ?? (await questions.ask('Client id: '));
    const clientSecret = environment['ZOHO_CLIENT_SECRET'] ?? (await questions.askSecretly('Client secret: '));
    errors.write(STEPS(accountsUrl.replace('//accounts.', '//api-console.')));
    const code = await questions.ask('Code: ');
    const grant = await exchangeCode(http, { accountsUrl: withoutSlash(accountsUrl), clientId, clientSecret, code });
    if (grant.refreshToken === undefined) throw withoutRefreshToken(accountsUrl);
    errors.write(`\nIt works${aboutGrant(grant)}. Set this in the environment of Node-RED, and keep it secret:\n\n`);
    // Alone on the standard output, so that it can be written into a file.
    output.write(`ZOHO_REFRESH_TOKEN=${grant.refreshToken}\n`);
    return 0;
  } finally {
    questions.close();
  }
}

async function checkToken(http: HttpClient, { environment, output }: Terminal): Promise<number> {
  const need = (name: string): string => {
    const value = environment[name];
    if (!value) throw new UsageError(`${name} is not set.`);
    return value;
  };
  const grant = await refreshAccess(http, {
    accountsUrl: withoutSlash(environment['ZOHO_ACCOUNTS_BASE_URL'] ?? 'https://accounts.zoho.com'),
    clientId: need('ZOHO_CLIENT_ID'),
    clientSecret: need('ZOHO_CLIENT_SECRET'),
    refreshToken: need('ZOHO_REFRESH_TOKEN'),
  });
  output.write(`The refresh token works${aboutGrant(grant)}.\n`);
  return 0;
}

async function chooseDataCenter(questions: Questions, { errors }: Terminal): Promise<string> {
  errors.write('In which data centre is your account? Its address is where you sign in to Zoho.\n\n');
  for (const [index, { name, accountsUrl }] of ZOHO_DATA_CENTERS.entries()) {
    errors.write(`  ${String(index + 1).padStart(2)}  ${name.padEnd(22)} ${accountsUrl}\n`);
  }
  const answer = await questions.ask('\nNumber, or another address: ');
  const chosen = ZOHO_DATA_CENTERS[Number(answer) - 1]?.accountsUrl ?? answer;
  if (!/^https?:\/\/\S+$/.test(chosen)) throw new UsageError(`There is no data centre ${answer}.`);
  return chosen;
}

function aboutGrant({ apiDomain, scope }: ZohoGrant): string {
  const where = apiDomain === undefined ? '' : ` for ${apiDomain}`;
  return scope === undefined ? where : `${where} (${scope})`;
}

function withoutRefreshToken(target: string): ContactError {
  return new ContactError('PROTOCOL', {
    attempted: 'get a refresh token',
    target,
    answer: 'there is none in the answer',
    advice: 'Generate the code with a self client: other kinds of clients have to ask for offline access.',
  });
}

function withoutSlash(address: string): string {
  return address.replace(/\/+$/, '');
}

/** Asks at a terminal, and takes one line after the other where there is none. */
class Questions {
  private readonly lines: AsyncIterator<string> | undefined;
  private readonly reader: Interface | undefined;

  constructor(private readonly terminal: Terminal) {
    if (terminal.input.isTTY) return;
    this.reader = createInterface({ input: terminal.input });
    this.lines = this.reader[Symbol.asyncIterator]();
  }

  async ask(question: string): Promise<string> {
    if (this.lines) return this.next(question);
    const { input, errors: output } = this.terminal;
    const reader = createInterface({ input, output });
    try {
      return (await new Promise<string>((resolve) => reader.question(question, resolve))).trim();
    } finally {
      reader.close();
    }
  }

  async askSecretly(question: string): Promise<string> {
    return this.lines ? this.next(question) : (await readSecret(this.terminal, question)).trim();
  }

  close(): void {
    this.reader?.close();
  }

  private async next(question: string): Promise<string> {
    const { value, done } = await (this.lines as AsyncIterator<string>).next();
    if (done || value === undefined)
      throw new UsageError(`There is no answer to "${question.trim()}" in the standard input.`);
    return value.trim();
  }
}
