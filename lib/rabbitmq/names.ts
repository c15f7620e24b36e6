import { ContactError, describe } from '../core/errors';
import { HttpClient } from '../core/http';
import type { BrokerAddress, BrokerPlace } from './address';
import { type DialOptions, dial } from './dial';
import { brokerFailure } from './failures';
import { memoryBroker } from './memory/link';

/** What a broker can be asked to list. */
export type BrokerThing = 'queues' | 'exchanges';

/** Where and how a broker is asked. */
export interface NamesOptions extends DialOptions {
  place: BrokerPlace;
  /** Of the management plugin, without a slash at the end; port 15672 (15671 with TLS) of the broker when left out. */
  managementUrl?: string | undefined;
}

/** Somebody waits in front of a dialog. */
const WITHIN_MS = 3_000;

/**
 * The names of queues or exchanges for a list to pick from, sorted. RabbitMQ lists them only over its management plugin;
 * without that, a name that was `typed` is looked for, and is the whole list when it is there. Throws what is in the way.
 */
export async function listNames(options: NamesOptions, things: BrokerThing, typed = ''): Promise<string[]> {
  const { place } = options;
  if (place.kind === 'memory') return memoryBroker(place.name).names(things).toSorted();
  let failure: unknown;
  for (const address of place.addresses) {
    try {
      return await askManagement(address, things, options.managementUrl);
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  // A variable is no name, and what it stands for is not known here.
  if (typed === '' || typed.includes('${')) throw failure;
  await lookFor(options, place.addresses, things, typed);
  return [typed];
}

async function askManagement(address: BrokerAddress, things: BrokerThing, managementUrl?: string): Promise<string[]> {
  const base = managementUrl ?? usualManagementUrl(address);
  const url = `${base}/api/${things}/${encodeURIComponent(address.vhost)}`;
  const facts = { attempted: `list the ${things}`, target: base };
  const advice = 'Type the name; for a list, enable the management plugin and give the user the tag "management".';
  const http = new HttpClient();
  try {
    const login = Buffer.from(`${address.username}:${address.password}`).toString('base64');
    const headers = { Authorization: `Basic ${login}` };
    const query = { columns: 'name' };
    const { status, text } = await http.send({ method: 'GET', url, query, headers, timeoutMs: WITHIN_MS });
    if (status !== 200) throw new ContactError('REFUSED', { ...facts, answer: `HTTP ${status}`, status, advice });
    const rows = JSON.parse(text) as { name: string }[];
    // The exchange without a name cannot be chosen.
    return rows
      .map(({ name }) => name)
      .filter((name) => name !== '')
      .toSorted();
  } catch (thrown) {
    if (thrown instanceof ContactError && thrown.code === 'REFUSED') throw thrown;
    throw new ContactError('UNREACHABLE', { ...facts, answer: describe(thrown), advice, cause: thrown });
  } finally {
    http.close();
  }
}

function usualManagementUrl({ protocol, hostname }: BrokerAddress): string {
  const host = hostname.includes(':') ? `[${hostname}]` : hostname;
  return protocol === 'amqps' ? `https://${host}:15671` : `http://${host}:15672`;
}

/** A passive declaration: it changes nothing. */
async function lookFor(
  options: DialOptions,
  addresses: readonly BrokerAddress[],
  things: BrokerThing,
  name: string,
): Promise<void> {
  let failure: unknown;
  for (const address of addresses) {
    try {
      const link = await dial(address, { ...options, openTimeoutMs: WITHIN_MS });
      // The broker closes a channel on which something was not found; the client tells that as an error as well.
      link.on('error', () => {});
      try {
        const channel = await link.createChannel();
        await (things === 'queues' ? channel.checkQueue(name) : channel.checkExchange(name));
        return;
      } finally {
        await link.close().catch(() => {});
      }
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  throw brokerFailure(failure, `look for ${name} among the ${things}`);
}
