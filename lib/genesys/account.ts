import { createHash } from 'node:crypto';
import type { RateLimit } from '../core/rate-limit';
import type { TokenCache } from '../core/token-cache';
import { GenesysClient } from './client';
import { type GenesysCredentials, useAccess } from './oauth';

/** Credentials together with the API that they open. */
export interface GenesysAccountOptions extends GenesysCredentials {
  /** Base address of the platform API, without a slash at the end. */
  apiUrl: string;
}

/** An OAuth client of an organization, ready to be used. */
export interface GenesysAccount {
  readonly client: GenesysClient;
  readonly tokens: TokenCache;
  /** What the token may be used for. */
  readonly limit: RateLimit;
  /** Tells accounts apart without revealing them; stays the same over restarts and changes of the secret. */
  readonly key: string;
  /** Gives back the share in the token. */
  release(): void;
}

/** Opens an account. It makes no request by itself. */
export function openAccount(options: GenesysAccountOptions): GenesysAccount {
  const { apiUrl, clientId } = options;
  const { access, release } = useAccess(options);
  const client = new GenesysClient({ apiUrl, access });
  const key = createHash('sha256')
    .update(JSON.stringify([apiUrl, clientId]))
    .digest('base64url')
    .slice(0, 16);
  return { client, tokens: access.tokens, limit: access.limit, key, release };
}
