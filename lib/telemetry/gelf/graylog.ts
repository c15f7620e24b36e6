import type { Entry } from '../../core/spool';
import type { Verdict } from '../../core/verdicts';
import type { Destination } from '../destination';
import type { Signal, SignalKind } from '../signals';
import { GelfHttp } from './http';
import { gelfMessage } from './message';
import { GelfTcp } from './tcp';
import type { GelfTransport } from './transport';
import { GelfUdp } from './udp';

/** The ways to Graylog. */
export const GELF_PROTOCOLS = ['udp', 'tcp', 'http', 'https'] as const;

/** Where a Graylog takes log lines and events. */
export interface GraylogOptions {
  host: string;
  /** 12201 is usual. */
  port: number;
  protocol: (typeof GELF_PROTOCOLS)[number];
  /** What the messages say they are from, as `_application`. */
  application: string;
}

const BATCH_ITEMS = 100;

/** Graylog, in GELF 1.1: log lines and events. */
export class Graylog implements Destination {
  readonly name = 'graylog';
  readonly target: string;
  readonly kinds: ReadonlySet<SignalKind> = new Set(['log', 'event']);
  readonly batchItems = BATCH_ITEMS;
  private readonly transport: GelfTransport;

  constructor(private readonly options: GraylogOptions) {
    const { host, port, protocol } = options;
    this.target = `${protocol}://${host}:${port}`;
    if (protocol === 'udp') this.transport = new GelfUdp({ host, port });
    else if (protocol === 'tcp') this.transport = new GelfTcp({ host, port });
    else this.transport = new GelfHttp({ host, port }, protocol);
  }

  encode(signal: Signal): string {
    if (signal.kind !== 'log' && signal.kind !== 'event') return '';
    return gelfMessage(signal, this.options.application);
  }

  send(entries: readonly Entry<Signal>[], signal: AbortSignal): Promise<Verdict | Verdict[]> {
    return this.transport.send(
      entries.map(({ body }) => body),
      signal,
    );
  }

  close(): Promise<void> {
    return this.transport.close();
  }
}
