import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hash } from 'bcryptjs';
import { Tokens } from '../../lib/calls/tokens';
import { type FlowEntry, ROOT } from '../services/node-red';
import { startAriSimulator } from '../simulators/ari';
import { defaultApiKey, defaultBot, startCodySimulator } from '../simulators/cody';
import { startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, defaultIntegration, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';
import { defaultZoho, startZohoSimulator } from '../simulators/zoho';

/** A simulator at work. */
export interface RunningSystem {
  /** What the example flows must know to find it. */
  environment: Record<string, string>;
  /** What is worth knowing about it, in a few words. */
  note: string;
  /** Where a person can look at what has arrived in it. */
  look?: { name: string; url: string };
  /** Begins to send what the flows are made for; `url` is the address of Node-RED. */
  makeTraffic?: (url: string) => void;
  countDocuments?: () => Promise<number>;
  close(): Promise<void>;
}

/** A remote system of the examples: real where the environment names it, simulated otherwise. */
export interface System {
  name: string;
  isReal: (environment: NodeJS.ProcessEnv) => boolean;
  simulate: () => Promise<RunningSystem>;
}

const EVENTS_PER_SECOND = 3;
/** Enough for years. */
const ENDLESS = 1_000_000_000;

/** The button of the example that sends a text, and how often it is pressed. */
const SEND_BUTTON = 'A text';
const MESSAGE_EVERY_MS = 4_000;

/** Presses the button of the example, and answers each message as Genesys and an agent would. */
function sendMessages(simulator: GenesysSimulator, url: string): NodeJS.Timeout {
  const { id, webhookSecret } = defaultIntegration;
  simulator.messaging.setWebhook(id, { webhookUrl: `${url}/genesys/webhook`, webhookSecret });
  let button: string | undefined;
  let answered = 0;
  const press = async () => {
    const flows = (await (await fetch(`${url}/flows`)).json()) as { id: string; type: string; name?: string }[];
    button ??= flows.find(({ type, name }) => type === 'inject' && name === SEND_BUTTON)?.id;
    await fetch(`${url}/inject/${button}`, { method: 'POST' });
    const news = simulator.messaging.messages.slice(answered);
    answered += news.length;
    for (const message of news) {
      await simulator.messaging.confirm(message, 'Published');
      await simulator.messaging.reply(id, message.from, `You said: ${message.text}`);
    }
  };
  // While Node-RED stops, nobody answers.
  return setInterval(() => void press().catch(() => {}), MESSAGE_EVERY_MS);
}

const genesys: System = {
  name: 'Genesys Cloud',
  isReal: ({ GENESYS_CLIENT_ID }) => Boolean(GENESYS_CLIENT_ID),
  async simulate() {
    const simulator = await startGenesysSimulator();
    const { id, secret } = defaultClient;
    let timer: NodeJS.Timeout | undefined;
    return {
      environment: {
        GENESYS_LOGIN_URL: simulator.url,
        GENESYS_API_URL: simulator.url,
        GENESYS_CLIENT_ID: id,
        GENESYS_CLIENT_SECRET: secret,
        GENESYS_INTEGRATION_ID: defaultIntegration.id,
        GENESYS_WEBHOOK_SECRET: defaultIntegration.webhookSecret,
      },
      note: `${simulator.url}, ${EVENTS_PER_SECOND} AudioHook events a second, a message every ${MESSAGE_EVERY_MS / 1_000} s`,
      makeTraffic: (url) => {
        simulator.generate({ count: ENDLESS, ratePerSecond: EVENTS_PER_SECOND });
        timer = sendMessages(simulator, url);
      },
      close: async () => {
        clearInterval(timer);
        await simulator.close();
      },
    };
  },
};

const elasticsearch: System = {
  name: 'Elasticsearch',
  isReal: ({ ELASTIC_URL }) => Boolean(ELASTIC_URL),
  async simulate() {
    const simulator = await startElasticsearchSimulator();
    const { ELASTIC_INDEX: index = 'genesys-audiohook' } = process.env;
    return {
      environment: { ELASTIC_URL: simulator.url },
      note: simulator.url,
      look: { name: 'Documents', url: `${simulator.url}/${index}*/_search?size=3&pretty` },
      countDocuments: async () => {
        const answer = await fetch(`${simulator.url}/${index}*/_count`);
        const { count = 0 } = (await answer.json()) as { count?: number };
        return count;
      },
      close: () => simulator.close(),
    };
  },
};

/** The numbers that the demo calls: the last four digits say what the simulated party does. */
const NUMBERS = ['+15550100', '+15550000486', '+15550101', '+15550000180', '+15550000603', '+15550102'];
const CALL_EVERY_MS = 3_000;

const asterisk: System = {
  name: 'Asterisk',
  isReal: ({ ARI_HTTP_URL }) => Boolean(ARI_HTTP_URL),
  async simulate() {
    const simulator = await startAriSimulator();
    const { SECRET_KEY = randomBytes(32).toString('hex') } = process.env;
    const password = randomBytes(9).toString('base64url');
    let timer: NodeJS.Timeout | undefined;
    const makeTraffic = (url: string) => {
      let calls = 0;
      const tokens = new Tokens({ secret: SECRET_KEY });
      timer = setInterval(async () => {
        const number = NUMBERS[calls++ % NUMBERS.length];
        const { accessToken } = await tokens.issue('demo');
        const headers = { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'application/json' };
        const init = { method: 'POST', headers, body: '{"timeout":10000}' };
        // While Node-RED stops, nobody answers.
        await fetch(`${url}/api/v1/interaction/${number}`, init).catch(() => {});
      }, CALL_EVERY_MS);
    };
    return {
      environment: {
        ARI_HTTP_URL: simulator.url,
        ARI_USERNAME: simulator.user,
        ARI_PASSWORD: simulator.password,
        SECRET_KEY,
        API_USER: 'demo',
        API_PASSWORD_HASH: await hash(password, 10),
      },
      note: `${simulator.url}, a call every ${CALL_EVERY_MS / 1_000} s; API user demo, password ${password}`,
      makeTraffic,
      close: async () => {
        clearInterval(timer);
        await simulator.close();
      },
    };
  },
};

const EVENT_EVERY_MS = 2_000;

const rabbitmq: System = {
  name: 'RabbitMQ',
  isReal: ({ RABBITMQ_URL }) => Boolean(RABBITMQ_URL),
  async simulate() {
    const buttons = eventButtons();
    let timer: NodeJS.Timeout | undefined;
    const makeTraffic = (url: string) => {
      let clicks = 0;
      timer = setInterval(() => {
        const button = buttons[clicks++ % buttons.length];
        // While Node-RED stops, nobody answers.
        fetch(`${url}/inject/${button}`, { method: 'POST' }).catch(() => {});
      }, EVENT_EVERY_MS);
    };
    return {
      environment: { RABBITMQ_URL: 'memory:' },
      note: `the broker within Node-RED, an event every ${EVENT_EVERY_MS / 1_000} s`,
      makeTraffic,
      close: async () => clearInterval(timer),
    };
  },
};

/** The inject nodes of the example that publish an event. */
function eventButtons(): string[] {
  const entries = JSON.parse(readFileSync(join(ROOT, 'examples/ocelot-events.json'), 'utf8')) as FlowEntry[];
  const isEvent = ({ props }: FlowEntry) => (props as { p: string }[] | undefined)?.some(({ p }) => p === 'eventType');
  return entries.filter((entry) => entry.type === 'inject' && isEvent(entry)).map(({ id }) => id);
}
const CHAT_EVERY_MS = 8_000;
const QUESTIONS = [
  'Where is my order?',
  'Can I change my address?',
  'I want my money back.',
  'Do you deliver on Sundays?',
];

const cody: System = {
  name: 'Cody',
  isReal: ({ CODY_API_KEY }) => Boolean(CODY_API_KEY),
  async simulate() {
    const simulator = await startCodySimulator();
    const { POLL_INTERVAL_SECONDS = '3', SETTLE_SECONDS = '12' } = process.env;
    let timer: NodeJS.Timeout | undefined;
    let chats = 0;
    const chat = () => {
      const text = QUESTIONS[chats++ % QUESTIONS.length] ?? '';
      const id = simulator.chat({ name: text, text });
      // Every third one goes on after it has become a Case.
      const more = () => simulator.say(id, { content: 'One more question: how long will that take?' });
      if (chats % 3 === 0) setTimeout(more, 4 * CHAT_EVERY_MS).unref();
    };
    return {
      environment: {
        CODY_API_URL: simulator.url,
        CODY_API_KEY: defaultApiKey,
        CODY_BOT_ID: defaultBot,
        POLL_INTERVAL_SECONDS,
        SETTLE_SECONDS,
      },
      note: `${simulator.url}, a chat every ${CHAT_EVERY_MS / 1_000} s, which is over after ${SETTLE_SECONDS} s`,
      makeTraffic: () => {
        timer = setInterval(chat, CHAT_EVERY_MS);
        chat();
      },
      close: async () => {
        clearInterval(timer);
        await simulator.close();
      },
    };
  },
};

const zoho: System = {
  name: 'Zoho CRM',
  isReal: ({ ZOHO_CLIENT_ID }) => Boolean(ZOHO_CLIENT_ID),
  async simulate() {
    const { clientId, clientSecret, refreshToken, scopes } = defaultZoho;
    const simulator = await startZohoSimulator({ scopes: [...scopes, 'ZohoCRM.coql.READ'] });
    const listed = () => simulator.cases.slice(-20).map(({ id, fields, updates }) => ({ id, updates, ...fields }));
    simulator.api.route({ method: 'GET', path: '/cases', handle: () => ({ status: 200, body: listed() }) });
    return {
      environment: {
        ZOHO_ACCOUNTS_BASE_URL: simulator.url,
        ZOHO_API_BASE_URL: simulator.url,
        ZOHO_CLIENT_ID: clientId,
        ZOHO_CLIENT_SECRET: clientSecret,
        ZOHO_REFRESH_TOKEN: refreshToken,
      },
      note: simulator.url,
      look: { name: 'Cases', url: `${simulator.url}/cases` },
      close: () => simulator.close(),
    };
  },
};

/** Every system that an example talks to. */
export const SYSTEMS: readonly System[] = [genesys, elasticsearch, asterisk, rabbitmq, cody, zoho];
