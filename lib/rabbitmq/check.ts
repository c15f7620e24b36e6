import { systemClock } from '../core/clock';
import type { BrokerPlace } from './address';
import { type DialOptions, dial } from './dial';

const OPEN_WITHIN_MS = 5_000;

/**
 * Connects to a broker, at the first of its addresses where that works; rejects with what is in the way at the first of
 * them. `ms` is how long it took.
 */
export async function checkBroker(place: BrokerPlace, options: DialOptions): Promise<{ product: string; ms: number }> {
  if (place.kind === 'memory') return { product: 'memory', ms: 0 };
  const began = systemClock.now();
  let failure: unknown;
  for (const address of place.addresses) {
    try {
      const link = await dial(address, { ...options, openTimeoutMs: OPEN_WITHIN_MS });
      await link.close();
      return { product: link.product, ms: systemClock.now() - began };
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  throw failure;
}
