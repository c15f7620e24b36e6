import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';

/** The example flow of the call API. */
export const CALL_API = JSON.parse(readFileSync(join(ROOT, 'examples/ari-call-api.json'), 'utf8')) as FlowEntry[];

/** The first user, and the hash of the password at the lowest cost there is. */
export const USER = 'alice';
export const PASSWORD = 'correct horse battery';
export const SECRET_KEY = 'only for tests, of 32 characters or more';

/** An answer of the API. */
export interface ApiReply {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** The call API in a Node-RED of its own. */
export interface CallApi {
  nodeRed: NodeRed;
  /** A request with the token of the first user. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<ApiReply>;
  /** A request without a token. */
  bare(method: string, path: string, init?: RequestInit): Promise<ApiReply>;
  /** Gets a token with name and password. */
  login(username?: string, password?: string): Promise<ApiReply>;
  /** Waits until a call has one of these states and gives it. */
  reached(callId: string, states: readonly string[], limitMs?: number): Promise<Record<string, unknown>>;
}

/** Starts the example with nothing but environment variables, and waits until calls can be made. */
export async function startCallApi(
  asterisk: { url: string; user: string; password: string; endpoint: string },
  env: Record<string, string | undefined> = {},
  options: { userDir?: string; ready?: boolean } = {},
): Promise<CallApi> {
  const { hash } = (await import('bcryptjs')).default;
  const nodeRed = await startNodeRed({
    flows: CALL_API,
    ...(options.userDir === undefined ? {} : { userDir: options.userDir }),
    env: {
      ARI_HTTP_URL: asterisk.url,
      ARI_USERNAME: asterisk.user,
      ARI_PASSWORD: asterisk.password,
      ARI_ENDPOINT: asterisk.endpoint,
      ARI_APP: undefined,
      SECRET_KEY,
      API_USER: USER,
      API_PASSWORD_HASH: await hash(PASSWORD, 4),
      METRICS_ENABLED: 'true',
      DATABASE_URL: undefined,
      DISABLE_DB: undefined,
      ...env,
    },
  });
  let token = '';
  const read = async (answer: Response): Promise<ApiReply> => {
    const text = await answer.text();
    const body = answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : { text };
    return { status: answer.status, headers: answer.headers, body: body as Record<string, unknown> };
  };
  const bare = async (method: string, path: string, init: RequestInit = {}) =>
    read(await nodeRed.request(path, { ...init, method }));
  const login = (username = USER, password = PASSWORD) =>
    bare('POST', '/api/v1/token', { body: new URLSearchParams({ username, password }) });
  const api: CallApi = {
    nodeRed,
    bare,
    login,
    ask: async (method, path, body, headers = {}) => {
      if (token === '') token = String((await login()).body['access_token']);
      return bare(method, path, {
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
    },
    reached: (callId, states, limitMs = 20_000) =>
      until(
        async () => {
          const { status, body } = await api.ask('GET', `/api/v1/status/${callId}`);
          return status === 200 && states.includes(String(body['status'])) ? body : undefined;
        },
        `${states.join(' or ')} of ${callId}`,
        limitMs,
      ),
  };
  if (options.ready !== false) await ready(api);
  return api;
}

/** Waits until the API can make calls. */
export async function ready({ nodeRed }: CallApi, limitMs = 30_000): Promise<void> {
  await until(
    async () => {
      const { checks = [] } = (await (await nodeRed.request('/calls/health')).json()) as {
        checks?: { type: string; status: string }[];
      };
      return checks.length > 3 && checks.every(({ status }) => status === 'healthy');
    },
    'the call API',
    limitMs,
  );
}
