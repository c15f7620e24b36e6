import type { ContactError } from '../core/errors';
import type { TokenCache } from '../core/token-cache';
import { guard } from './input';
import type { RuntimeNode } from './node';
import type { Status } from './status';

/** Shows how the tokens of a node stand, from now on. Gives back the function that ends this. */
export function showTokens(
  node: RuntimeNode,
  status: Status,
  tokens: Pick<TokenCache, 'current' | 'onRenewed' | 'onFailed'>,
): () => void {
  const showValid = () => status.set('connected', { text: 'token-valid' });
  const ends = [
    tokens.onRenewed(showValid),
    tokens.onFailed(
      guard(node, (error: ContactError) => {
        if (error.code === 'REFUSED') status.set('refused', { text: 'wrong-credentials', reason: error.message });
        else status.set(tokens.current ? 'degraded' : 'disconnected', { reason: error.message });
      }),
    ),
  ];
  if (tokens.current) showValid();
  return () => {
    for (const end of ends) end();
  };
}
