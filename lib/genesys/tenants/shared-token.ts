import { createHash } from 'node:crypto';
import { seal, unseal } from '../../core/sealing';
import type { AccessToken, SharedToken } from '../../core/token-cache';
import type { StateStore } from '../../store/store';
import type { GenesysCredentials } from '../oauth';

/** Leaves the token of these credentials in a store for other processes, encrypted with the client secret. */
export function sharedToken(store: StateStore, { loginUrl, clientId, clientSecret }: GenesysCredentials): SharedToken {
  const place = createHash('sha256')
    .update(JSON.stringify([loginUrl, clientId]))
    .digest('base64url')
    .slice(0, 22);
  const key = `tokens/genesys/${place}`;
  return {
    async read() {
      const text = unseal(await store.get(key), clientSecret);
      if (text === undefined) return undefined;
      const { value, obtainedAt, expiresAt } = JSON.parse(text) as Partial<AccessToken>;
      const isWhole = typeof value === 'string' && typeof obtainedAt === 'number' && typeof expiresAt === 'number';
      return isWhole ? { value, obtainedAt, expiresAt } : undefined;
    },
    async write(token) {
      const expiresInMs = Math.max(1, token.expiresAt - Date.now());
      await store.set(key, seal(JSON.stringify(token), clientSecret), { expiresInMs });
    },
  };
}
