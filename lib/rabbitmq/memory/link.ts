import { EventEmitter } from 'node:events';
import type { AmqpChannel, AmqpLink } from '../amqp';
import { MemoryBroker } from './broker';
import { MemoryChannel } from './channel';

/** The brokers of this process, by name. They outlive a deploy. */
const brokers = new Map<string, MemoryBroker>();

/** The broker of this name within this process; it is made when it is not there. */
export function memoryBroker(name: string): MemoryBroker {
  const broker = brokers.get(name) ?? new MemoryBroker();
  brokers.set(name, broker);
  return broker;
}

/** Connects to the broker of this name within this process. */
export function dialMemory(name: string): AmqpLink {
  return new MemoryLink(memoryBroker(name));
}

class MemoryLink extends EventEmitter implements AmqpLink {
  readonly product = 'memory';
  private readonly channels = new Set<MemoryChannel>();
  private isOpen = true;

  constructor(private readonly broker: MemoryBroker) {
    super();
    this.on('error', () => {});
  }

  async createChannel(): Promise<AmqpChannel> {
    if (!this.isOpen) throw new Error('Connection closed');
    const channel = new MemoryChannel(this.broker, () => this.channels.delete(channel));
    this.channels.add(channel);
    return channel as unknown as AmqpChannel;
  }

  async close(): Promise<void> {
    this.destroy();
  }

  destroy(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const channel of [...this.channels]) channel.end();
    this.emit('close');
  }
}
