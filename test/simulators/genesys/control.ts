import { badRequest } from './answers';
import type { GeneratorRun } from './event-generator';
import type { Fault } from './faults';
import type { FaultAnswer, FaultRule, GenesysSimulator, OperationalEvent } from './index';

/** A command's arguments, the JSON body of `POST /__control/<verb>`. */
type Arguments = Record<string, unknown>;

/**
 * Serve the simulator's commands over HTTP for use from another process: `POST /__control/<verb>` with a JSON object, and
 * `GET /__control/state`. Every answer is JSON; a command that throws answers 4xx or 500 with a `message`.
 */
export function serveControl(genesys: GenesysSimulator): void {
  const faults = new Map<number, Fault>();
  const runs = new Map<number, GeneratorRun>();
  let next = 1;
  const described = (run: number) => {
    const { count, sent, startedAt, finishedAt } = runs.get(run) as GeneratorRun;
    return { run, count, sent, startedAt, finishedAt };
  };
  const channel = ({ channel: id = 'all' }: Arguments) => String(id);
  const client = ({ client: id }: Arguments) => (id === undefined ? undefined : String(id));

  const verbs: Record<string, (given: Arguments) => unknown> = {
    publish: async ({ events, rest = true, socket = true }) => {
      await genesys.publish(events as OperationalEvent[], { rest: rest === true, socket: socket === true });
    },
    generate: async ({ wait = false, ...options }) => {
      if (typeof options['count'] !== 'number') throw badRequest('generate needs a count.');
      const run = next++;
      runs.set(run, genesys.generate(options as { count: number }));
      if (wait === true) await runs.get(run)?.done;
      return described(run);
    },
    stop: ({ run }) => {
      runs.get(Number(run))?.stop();
    },
    fail: (given) => {
      const fault = next++;
      faults.set(fault, genesys.fail(ruleOf(given)));
      return { fault };
    },
    unfail: ({ fault }) => {
      faults.get(Number(fault))?.remove();
    },
    'clear-faults': () => genesys.faults.clear(),
    'refuse-upgrades': ({ status, times }) => {
      const fault = next++;
      faults.set(fault, genesys.refuseUpgrades(Number(status), times === undefined ? undefined : Number(times)));
      return { fault };
    },
    'send-frame': (given) => genesys.sendFrame(channel(given), given['frame']),
    'socket-closing': (given) => genesys.socketClosing(channel(given), optionalNumber(given['delayMs'])),
    'no-longer-subscribed': (given) => genesys.noLongerSubscribed(channel(given)),
    drop: (given) => genesys.drop(channel(given)),
    'half-open': (given) => genesys.halfOpen(channel(given)),
    slow: (given) => genesys.slow(Number(given['delayMs']), channel(given)),
    mute: ({ what = [] }) => genesys.mute(...(what as ('heartbeats' | 'pongs')[])),
    unmute: () => genesys.unmute(),
    evict: (given) => genesys.evict(channel(given)),
    'revoke-tokens': (given) => genesys.revokeTokens(client(given)),
    'disable-client': (given) => genesys.disableClient(client(given)),
    'enable-client': (given) => genesys.enableClient(client(given)),
    'set-secret': (given) => genesys.setSecret(String(given['secret']), client(given)),
    'set-permissions': (given) => genesys.setPermissions(given['permissions'] as string[] | undefined, client(given)),
    withhold: (given) => genesys.withhold(given['permissions'] as string[], client(given)),
    'set-rate-limit': ({ perMinute, organization }) =>
      genesys.setRateLimit(Number(perMinute), organization === undefined ? undefined : String(organization)),
    'clear-traffic': () => genesys.traffic.clear(),
    messages: () => ({ messages: genesys.messaging.messages, sent: genesys.messaging.sent }),
    peak: ({ organization, windowMs }) => ({
      peak: genesys.traffic.peak(String(organization), optionalNumber(windowMs)),
      count: genesys.traffic.count(String(organization)),
    }),
    'set-webhook': ({ integration, url, secret }) =>
      genesys.messaging.setWebhook(String(integration), {
        ...(url !== undefined && { webhookUrl: String(url) }),
        ...(secret !== undefined && { webhookSecret: String(secret) }),
      }),
    reply: ({ integration, customer, text }) =>
      genesys.messaging.reply(String(integration), String(customer), String(text)),
    'clear-requests': () => genesys.requests.clear(),
  };

  const state = () => ({
    url: genesys.url,
    published: genesys.published,
    stored: genesys.stored,
    channels: genesys.channels,
    clients: genesys.clients.map(({ id, name, state: clientState }) => ({ id, name, state: clientState })),
    tokens: genesys.tokens.length,
    messages: genesys.messaging.count,
    requests: {
      total: genesys.requests.total,
      tokenRequests: genesys.requests.tokenRequests,
      counts: genesys.requests.counts,
      statuses: genesys.requests.statuses,
      recent: genesys.requests.recent,
    },
    faults: [...faults].map(([fault, { hits }]) => ({ fault, hits })),
    runs: [...runs.keys()].map(described),
  });

  genesys.server.mount('/__control/', async ({ method, path, body }) => {
    const verb = path.slice('/__control/'.length);
    if (method === 'GET' && verb === 'state') return { status: 200, body: state() };
    const command = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (method !== 'POST' || !command)
      throw badRequest(`Not a command: ${method} ${verb}. Known: ${Object.keys(verbs).join(', ')}`);
    const given: unknown = body.length === 0 ? {} : JSON.parse(body.toString('utf8'));
    if (typeof given !== 'object' || given === null) throw badRequest('The arguments must be a JSON object.');
    return { status: 200, body: (await command(given as Arguments)) ?? {} };
  });
}

/** A fault rule from JSON: `path` is the source of a regular expression, `times` may be the word "Infinity". */
function ruleOf({ method, path, times, skip, share, answer }: Arguments): FaultRule {
  if (typeof path !== 'string' || answer === undefined) throw badRequest('fail needs a path and an answer.');
  return {
    path: new RegExp(path),
    answer: answer as FaultAnswer,
    ...(method !== undefined && { method: String(method) }),
    ...(times !== undefined && { times: Number(times) }),
    ...(skip !== undefined && { skip: Number(skip) }),
    ...(share !== undefined && { share: Number(share) }),
  };
}

function optionalNumber(value: unknown): number | undefined {
  return value === undefined ? undefined : Number(value);
}
