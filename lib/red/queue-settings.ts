import type { ContactError } from '../core/errors';
import type { BrokerConnection } from '../rabbitmq/connection';
import type { QueueConsumerOptions } from '../rabbitmq/consumer';
import type { NamesOptions } from '../rabbitmq/names';
import { boolean, choice, configNode, integer, list, number, text, type Values } from './config';
import type { RuntimeNode } from './node';

/** What a node that uses a contact-broker finds on it. */
export interface BrokerNode extends RuntimeNode {
  /** Missing when the configuration is incomplete. */
  connection?: BrokerConnection;
  /** How the broker is asked for names, for the lists of dialogs; there whenever the connection is. */
  place?: NamesOptions;
  /** What is wrong with the configuration. */
  problem?: ContactError;
}

const SECONDS = /^\d+(\.\d+)?(\s*,\s*\d+(\.\d+)?)*$/;

/** The fields of every node that reads a queue. */
export const QUEUE_FIELDS = {
  broker: configNode<BrokerNode>('contact-broker'),
  queue: text({ required: true }),
  queueType: choice(['quorum', 'classic'], { default: 'quorum' }),
  declare: boolean({ default: true }),
  exchange: text(),
  bindingKeys: list({ default: [] }),
  prefetch: integer({ default: 20, min: 1, max: 10_000 }),
  maxAttempts: integer({ default: 5, min: 1, max: 1_000 }),
  retrySeconds: text({ default: '1, 5, 30, 120', pattern: SECONDS, expected: 'seconds with commas between them' }),
  deadLetter: boolean({ default: true }),
  deadLetterQueue: text(),
  // RabbitMQ itself ends the channel of a consumer that has not acknowledged a message for 30 minutes.
  settleTimeoutSeconds: number({ default: 300, min: 1, max: 1_500 }),
  // With what it takes to notice and to show it, it is red within half a minute.
  stallSeconds: number({ default: 25, min: 0.1, max: 3_600 }),
  replayPerSecond: number({ default: 10, min: 0.1, max: 10_000 }),
};

/** What the fields say, as a consumer wants it. */
export function consumerSettings(
  config: Values<typeof QUEUE_FIELDS>,
  defaultExchange: string | undefined,
): Omit<QueueConsumerOptions, 'onMessage' | 'onState'> {
  const { queue: name, queueType: type, declare, exchange = defaultExchange, bindingKeys, deadLetter } = config;
  const delaysMs = config.retrySeconds.split(',').map((seconds) => Math.max(1, Math.round(Number(seconds) * 1_000)));
  const deadLetterQueue = deadLetter ? (config.deadLetterQueue ?? `${name}.dlq`) : undefined;
  return {
    queue: { name, type, declare, exchange, bindingKeys, deadLetterQueue, delaysMs },
    prefetch: config.prefetch,
    retry: { maxAttempts: config.maxAttempts, delaysMs },
    settleTimeoutMs: config.settleTimeoutSeconds * 1_000,
    stallMs: config.stallSeconds * 1_000,
  };
}
