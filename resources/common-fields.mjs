// Fields that several nodes have, as rows.mjs takes them.

/** What happens to the delivery of a message. */
export const settle = { name: 'settle', icon: 'check-square-o', kind: 'switch', default: true };

/** Where things wait that cannot be sent at once; `unit` is what they are, `name` the property with their number. */
export const buffer = (name, unit) => [
  { name: 'buffer', icon: 'hdd-o', choices: ['memory', 'disk'] },
  { name, icon: 'inbox', default: 100000, unit },
  { name: 'bufferBytes', icon: 'archive', default: 100000000, unit: 'bytes' },
  { name: 'overflow', icon: 'tint', choices: ['refuse', 'drop-oldest', 'drop-newest'] },
  settle,
];

/** How a queue of RabbitMQ is made; more fields may follow. */
export const queue = (...more) => [
  { name: 'queueType', icon: 'clone', choices: ['quorum', 'classic'] },
  { name: 'declare', icon: 'plus-square-o', kind: 'switch', default: true },
  ...more,
];

/** How messages of a queue are given out and taken back, as lib/red/queue-settings.ts reads it. */
export const deliveries = [
  { name: 'prefetch', icon: 'tasks', default: 20, unit: 'messages' },
  { name: 'maxAttempts', icon: 'repeat', default: 5, unit: 'attempts' },
  { name: 'retrySeconds', icon: 'hourglass-half', default: '1, 5, 30, 120', unit: 'seconds' },
  { name: 'deadLetter', icon: 'trash-o', kind: 'switch', default: true },
  { name: 'deadLetterQueue', icon: 'archive', hint: true },
  { name: 'replayPerSecond', icon: 'history', default: 10, unit: 'messagesPerSecond' },
  { name: 'settleTimeoutSeconds', icon: 'clock-o', default: 300, unit: 'seconds' },
  { name: 'stallSeconds', icon: 'bell-o', default: 25, unit: 'seconds' },
];

/** Queues or exchanges of the contact-broker in the field `broker`, to pick from; `typed` is the field itself. */
export const brokerNames = (things, typed) => ({
  from: things,
  asks: ['broker', typed],
  read: ({ names }) => names.map((name) => [name, name]),
});

/** The list of the regions of Genesys Cloud, from the names and domains that the runtime knows. */
export const regions = {
  from: 'regions',
  read: (domains) => Object.entries(domains).map(([name, domain]) => [domain, name]),
};
