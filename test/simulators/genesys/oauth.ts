import { randomBytes } from 'node:crypto';
import { type Answer, PlatformError } from './answers';
import { oauthError } from './faults';
import type { Organization } from './organization';
import type { ApiRequest, SimulatorServer } from './server';

/** An OAuth client (client credentials grant) of the simulated organization. */
export interface ClientOptions {
  id: string;
  secret: string;
  name?: string;
  /** Exactly these permissions; all when left out. */
  permissions?: string[];
}

/** The client as the other modules see it. */
export interface Client {
  readonly id: string;
  readonly name: string;
  /** Where it belongs. */
  readonly organization: Organization;
  /** `disabled` and `inactive` clients get no token, and the tokens they have are invalid at once. */
  state: 'active' | 'disabled' | 'inactive';
  /** Whether its roles grant the permission. */
  may(permission: string): boolean;
}

/** An access token that was issued. */
export interface AccessToken {
  readonly value: string;
  readonly client: Client;
  /** Epoch ms. */
  readonly issuedAt: number;
  /** Epoch ms. */
  readonly expiresAt: number;
}

/** How long tokens live and how the token endpoint refuses. */
export interface OAuthOptions {
  /** What `expires_in` says; default 86400, the vendor's default. */
  tokenLifetimeSeconds: number;
  /** How long tokens really live; default the same. */
  tokenLifetimeMs: number;
  /** Status of an `invalid_client` answer: 400 or 401, which of them the vendor uses is not settled. */
  invalidClientStatus: 400 | 401;
}

/** Why a token stopped to be valid. */
export type TokenEnd = 'expired' | 'revoked';

class RegisteredClient implements Client {
  state: Client['state'] = 'active';
  readonly id: string;
  readonly name: string;
  secret: string;
  /** The permissions it has; all when undefined. */
  permissions: ReadonlySet<string> | undefined;
  /** Permissions that it lacks in spite of `permissions`. */
  withheld: ReadonlySet<string> = new Set();

  constructor(
    options: ClientOptions,
    readonly organization: Organization,
  ) {
    this.id = options.id;
    this.name = options.name ?? 'Contact center integration';
    this.secret = options.secret;
    this.permissions = options.permissions && new Set(options.permissions);
  }

  may(permission: string): boolean {
    return !this.withheld.has(permission) && (this.permissions?.has(permission) ?? true);
  }
}

/** Token endpoint, token check, and what an administrator can do to clients and tokens. */
export class OAuth {
  /** Called when a token ends, after it has become invalid. */
  onTokenEnd: (token: AccessToken, end: TokenEnd) => void = () => undefined;
  private readonly clients = new Map<string, RegisteredClient>();
  private readonly tokens = new Map<string, AccessToken>();
  /** Values of expired tokens, which are answered with another code than unknown ones. */
  private readonly expired = new Set<string>();

  constructor(
    private readonly server: SimulatorServer,
    organizations: readonly (Organization & { clients: readonly ClientOptions[] })[],
    private readonly options: OAuthOptions,
  ) {
    for (const { clients, id, name } of organizations) {
      const organization = { id, name };
      for (const client of clients) this.clients.set(client.id, new RegisteredClient(client, organization));
    }
    server.authorize = (header) => this.authorize(header);
    server.peek = (header) => this.tokens.get(bearerOf(header) ?? '');
    server.route(
      { method: '*', path: '/oauth/token', open: true, handle: (request) => this.issue(request) },
      {
        method: 'GET',
        path: '/api/v2/tokens/me',
        handle: ({ token }) => ({ status: 200, body: this.describe(token) }),
      },
      { method: 'HEAD', path: '/api/v2/tokens/me', handle: () => ({ status: 200 }) },
      {
        method: 'DELETE',
        path: '/api/v2/tokens/me',
        handle: ({ token }) => {
          this.end(token, 'revoked');
          return { status: 200 };
        },
      },
    );
  }

  /** Tokens that are valid now, oldest first. */
  get valid(): AccessToken[] {
    return [...this.tokens.values()];
  }

  /** The client with this id, the first one without it; throws for an unknown one. */
  client(id?: string): RegisteredClient {
    const client = id === undefined ? [...this.clients.values()][0] : this.clients.get(id);
    if (!client) throw new Error(`The simulator has no OAuth client ${id}`);
    return client;
  }

  /** Every client, in the order given. */
  get allClients(): Client[] {
    return [...this.clients.values()];
  }

  /** Make the tokens of one client, or of all, invalid at once. */
  revokeTokens(clientId?: string): void {
    for (const token of this.valid) {
      if (clientId === undefined || token.client.id === clientId) this.end(token, 'revoked');
    }
  }

  /** Change a client's state; anything but `active` ends its tokens. */
  setState(clientId: string | undefined, state: Client['state']): void {
    const client = this.client(clientId);
    client.state = state;
    if (state !== 'active') this.revokeTokens(client.id);
  }

  private authorize(header: string | undefined): AccessToken {
    const value = bearerOf(header);
    if (value === undefined) {
      throw new PlatformError(
        401,
        'authentication.required',
        'No authentication bearer token specified in authorization header.',
      );
    }
    const token = this.tokens.get(value);
    if (token) return token;
    if (this.expired.has(value)) {
      throw new PlatformError(401, 'credentials.expired', 'The supplied credentials are expired and cannot be used.');
    }
    throw new PlatformError(401, 'bad.credentials', 'Invalid login credentials.');
  }

  private issue(request: ApiRequest): Answer {
    if (request.method !== 'POST') return oauthError(405, 'invalid_request', 'method not allowed', { Allow: 'POST' });
    const { invalidClientStatus, tokenLifetimeMs, tokenLifetimeSeconds } = this.options;
    const refuse = (description: string) => oauthError(invalidClientStatus, 'invalid_client', description);
    const basic = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!basic) return refuse('client credentials are missing from the authorization header');
    if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
      return oauthError(400, 'invalid_request', 'content type must be application/x-www-form-urlencoded');
    }
    const body = request.body.toString('utf8');
    if (body !== 'grant_type=client_credentials') {
      return /^grant_type=[^&]+$/.test(body)
        ? oauthError(400, 'unsupported_grant_type', 'grant type is not supported by this client')
        : oauthError(400, 'invalid_request', 'body must be grant_type=client_credentials');
    }
    const [id = '', ...secret] = Buffer.from(basic, 'base64').toString('utf8').split(':');
    const client = this.clients.get(id);
    if (!client) return refuse('client not found');
    if (client.secret !== secret.join(':')) return refuse('authentication failed');
    if (client.state !== 'active') return refuse(`client is ${client.state}`);
    const now = Date.now();
    const token = {
      value: randomBytes(48).toString('base64url'),
      client,
      issuedAt: now,
      expiresAt: now + tokenLifetimeMs,
    };
    this.tokens.set(token.value, token);
    this.server.timers.after(tokenLifetimeMs, () => this.end(token, 'expired'));
    return { status: 200, body: { access_token: token.value, token_type: 'bearer', expires_in: tokenLifetimeSeconds } };
  }

  private end(token: AccessToken, end: TokenEnd): void {
    if (!this.tokens.delete(token.value)) return;
    if (end === 'expired') this.expired.add(token.value);
    this.onTokenEnd(token, end);
    this.server.changed();
  }

  private describe(token: AccessToken) {
    const { id, name, organization } = token.client;
    return {
      organization,
      homeOrganization: organization,
      authorizedScope: [],
      OAuthClient: { id, name, organization },
    };
  }
}

function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
}
