import { ContactError } from '../core/errors';
import { registerSecret } from '../core/redaction';
import { percentDecoded } from '../core/text';

/** Where a broker is, and who wants in. */
export interface BrokerAddress {
  protocol: 'amqp' | 'amqps';
  hostname: string;
  port: number;
  username: string;
  password: string;
  vhost: string;
}

/** The addresses of brokers of one cluster, or the name of a broker in this process. */
export type BrokerPlace = { kind: 'network'; addresses: readonly BrokerAddress[] } | { kind: 'memory'; name: string };

/** What takes the place of the same part of the addresses. */
export interface LoginOverride {
  username?: string | undefined;
  password?: string | undefined;
  vhost?: string | undefined;
}

const MEMORY = /^memory:(?:\/\/)?([\w.-]*)$/;

/**
 * Reads addresses such as `amqps://user:password@host:5671/vhost`, or `memory:` for a broker in this process. Parts
 * that are missing are taken from the first address that has them, or are those of a new RabbitMQ: guest, guest, the
 * virtual host `/`. Throws a `CONFIGURATION` error that names what is wrong.
 */
export function readAddresses(texts: readonly string[], override: LoginOverride = {}): BrokerPlace {
  const [first = ''] = texts;
  const memory = MEMORY.exec(first);
  if (memory && texts.length === 1) return { kind: 'memory', name: memory[1] || 'default' };
  const parsed = texts.map(parse);
  if (parsed.length === 0) throw problem('no address is set');
  const shared = (name: 'username' | 'password' | 'vhost') => parsed.map((each) => each[name]).find(Boolean);
  const addresses = parsed.map((each) => ({
    protocol: each.protocol,
    hostname: each.hostname,
    port: each.port,
    username: override.username ?? (each.username || shared('username') || 'guest'),
    password: override.password ?? (each.password || shared('password') || 'guest'),
    vhost: override.vhost ?? (each.vhost || shared('vhost') || '/'),
  }));
  for (const { password } of addresses) registerSecret(password);
  return { kind: 'network', addresses };
}

/** The address as it may be shown: without the login. */
export function shownAddress({ protocol, hostname, port, vhost }: BrokerAddress): string {
  const host = hostname.includes(':') ? `[${hostname}]` : hostname;
  return `${protocol}://${host}:${port}/${vhost === '/' ? '' : encodeURIComponent(vhost)}`;
}

function parse(text: string): BrokerAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = url?.protocol.slice(0, -1);
  if (!url || (protocol !== 'amqp' && protocol !== 'amqps')) {
    if (MEMORY.test(text)) throw problem('memory: cannot stand beside another address');
    throw problem(`the address ${text} does not begin with amqp://, amqps:// or memory:`);
  }
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  if (hostname === '') throw problem(`the address ${text} names no host`);
  return {
    protocol,
    hostname,
    port: Number(url.port) || (protocol === 'amqps' ? 5671 : 5672),
    username: percentDecoded(url.username),
    password: percentDecoded(url.password),
    vhost: percentDecoded(url.pathname.slice(1)),
  };
}

function problem(answer: string): ContactError {
  return new ContactError('CONFIGURATION', { attempted: 'read the address of the broker', answer });
}
