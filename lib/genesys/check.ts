import { parseJson } from '../core/answers';
import type { HttpClient } from '../core/http';
import type { GenesysAccountOptions } from './account';
import { judgeAnswer } from './answers';
import { requestToken } from './oauth';

/** What a successful check has found. */
export interface AccessCheck {
  /** The name of the organization; empty when Genesys does not tell. */
  organization: string;
  /** How long a token lives, in seconds. */
  lifetimeSeconds: number;
  /** How long the check took, in milliseconds. */
  ms: number;
}

/** Gets a token, past every cache, and asks the API whom it belongs to. Rejects with what is wrong. */
export async function checkAccess(http: HttpClient, account: GenesysAccountOptions): Promise<AccessCheck> {
  const began = Date.now();
  const { value, lifetimeMs } = await requestToken(http, account);
  const what = 'ask the Genesys API whom the token belongs to';
  const answer = await http.send({
    method: 'GET',
    url: `${account.apiUrl}/api/v2/tokens/me`,
    headers: { Authorization: `Bearer ${value}` },
    what,
  });
  const verdict = judgeAnswer('GET', what, answer);
  if (verdict.kind !== 'delivered' && verdict.kind !== 'duplicate') throw verdict.error;
  const organization = parseJson(answer.text)?.['organization'] as { name?: unknown } | undefined;
  return {
    organization: typeof organization?.name === 'string' ? organization.name : '',
    lifetimeSeconds: Math.round(lifetimeMs / 1_000),
    ms: Date.now() - began,
  };
}
