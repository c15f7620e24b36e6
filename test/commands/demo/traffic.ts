import { Tokens } from '../../../lib/calls/tokens';
import type { CodySimulator } from '../../simulators/cody';
import { defaultIntegration, type GenesysSimulator } from '../../simulators/genesys';
import { buttonsOf, type ServiceName } from './flows';
import type { RunningSystem, SystemName } from './systems';

/** What one of the five flows has to do in the demo. */
export interface Traffic {
  service: ServiceName;
  /** What happens, in a few words; where nothing is made up, why. */
  what: string;
  /** Begins; `url` is the address of Node-RED. Left out where nothing is made up. */
  start?: (url: string) => void;
}

const EVENTS_PER_SECOND = 3;
/** Enough for years. */
const ENDLESS = 1_000_000_000;
const SECOND_MS = 1_000;
const EVENT_EVERY_MS = 2 * SECOND_MS;
const CALL_EVERY_MS = 3 * SECOND_MS;
const MESSAGE_EVERY_MS = 4 * SECOND_MS;
const CHAT_EVERY_MS = 8 * SECOND_MS;

/** The numbers that the demo calls: the last four digits say what the simulated party does. */
const NUMBERS = ['+15550100', '+15550000486', '+15550101', '+15550000180', '+15550000603', '+15550102'];
const QUESTIONS = [
  'Where is my order?',
  'Can I change my address?',
  'I want my money back.',
  'Do you deliver on Sundays?',
];

/**
 * What the demo makes happen. Servers of one's own get what is made up; nobody's customers do: no message goes to a real
 * Genesys Cloud, no Case to a real Zoho CRM and no call out of a real Asterisk. All ends with `signal`.
 */
export function trafficOf(
  systems: readonly RunningSystem[],
  environment: Record<string, string | undefined>,
  signal: AbortSignal,
): Traffic[] {
  const find = (name: SystemName) => systems.find((system) => system.name === name);
  const isReal = (name: SystemName) => find(name)?.provision === 'real';
  const { genesys } = find('Genesys Cloud') ?? {};
  const { cody } = find('Cody') ?? {};
  // An answer takes its time, and while Node-RED stops nobody answers.
  const every = (ms: number, action: () => Promise<unknown>) => {
    const timer = setInterval(() => void action().catch(() => {}), ms);
    signal.addEventListener('abort', () => clearInterval(timer));
    void action().catch(() => {});
  };
  const press = (url: string, id: string | undefined) => fetch(`${url}/inject/${id}`, { method: 'POST', signal });

  return [
    genesys
      ? {
          service: 'audiohook',
          what: `${EVENTS_PER_SECOND} events a second`,
          start: () => genesys.generate({ count: ENDLESS, ratePerSecond: EVENTS_PER_SECOND }),
        }
      : { service: 'audiohook', what: 'what your organization has' },
    cody && !isReal('Zoho CRM')
      ? {
          service: 'cody2zoho',
          what: `a chat every ${seconds(CHAT_EVERY_MS)}`,
          start: () => every(CHAT_EVERY_MS, chats(cody)),
        }
      : { service: 'cody2zoho', what: cody ? 'none: your Zoho CRM is real' : 'what your bot has' },
    {
      service: 'ocelot',
      what: `an event every ${seconds(EVENT_EVERY_MS)}`,
      start: (url) => {
        const next = round(buttonsOf('ocelot', isEvent));
        every(EVENT_EVERY_MS, () => press(url, next()));
      },
    },
    !isReal('Asterisk') || environment['ARI_ENDPOINT']?.startsWith('Local/')
      ? {
          service: 'calls',
          what: `a call every ${seconds(CALL_EVERY_MS)}`,
          start: (url) => every(CALL_EVERY_MS, calls(url, environment, signal)),
        }
      : { service: 'calls', what: 'none: your Asterisk is real' },
    genesys
      ? {
          service: 'messages',
          what: `a message every ${seconds(MESSAGE_EVERY_MS)}`,
          start: (url) => {
            const [button] = buttonsOf('messages', ({ name }) => name === 'A text');
            const answer = answers(genesys, url);
            every(MESSAGE_EVERY_MS, () => press(url, button).then(answer));
          },
        }
      : { service: 'messages', what: 'none: your Genesys Cloud is real' },
  ];
}

function seconds(ms: number): string {
  return `${ms / SECOND_MS} s`;
}

/** One after the other, and from the beginning again. */
function round<Item>(items: readonly Item[]): () => Item | undefined {
  let turn = 0;
  return () => items[turn++ % items.length];
}

/** The inject nodes of the example that publish an event. */
function isEvent({ props }: Record<string, unknown>): boolean {
  return (props as { p: string }[] | undefined)?.some(({ p }) => p === 'eventType') ?? false;
}

/** A chat; every third one goes on after it has become a Case. */
function chats(cody: CodySimulator): () => Promise<void> {
  const question = round(QUESTIONS);
  let count = 0;
  return async () => {
    const text = question() ?? '';
    const id = cody.chat({ name: text, text });
    count += 1;
    const more = () => cody.say(id, { content: 'One more question: how long will that take?' });
    if (count % 3 === 0) setTimeout(more, 4 * CHAT_EVERY_MS).unref();
  };
}

function calls(
  url: string,
  { SECRET_KEY: secret = '', JWT_ISSUER: issuer, JWT_AUDIENCE: audience }: Record<string, string | undefined>,
  signal: AbortSignal,
): () => Promise<unknown> {
  const tokens = new Tokens({ secret, ...(issuer ? { issuer } : {}), ...(audience ? { audience } : {}) });
  const number = round(NUMBERS);
  return async () => {
    const { accessToken } = await tokens.issue('demo');
    const headers = { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'application/json' };
    const init = { method: 'POST', headers, body: '{"timeout":10000}', signal };
    return fetch(`${url}/api/v1/interaction/${number()}`, init);
  };
}

/** Answers each new message as Genesys and an agent would. */
function answers({ messaging }: GenesysSimulator, url: string): () => Promise<void> {
  const { id, webhookSecret } = defaultIntegration;
  messaging.setWebhook(id, { webhookUrl: `${url}/genesys/webhook`, webhookSecret });
  let answered = 0;
  return async () => {
    const news = messaging.messages.slice(answered);
    answered += news.length;
    for (const message of news) {
      await messaging.confirm(message, 'Published');
      await messaging.reply(id, message.from, `You said: ${message.text}`);
    }
  };
}
