// Publishes messages of customers to a queue and waits until it is told of each that it was sent. Every message `{url,
// queue, exchange, organizations, count, perSecond?, flood?}` of the parent is a run; without `perSecond` all are published
// at once. `flood: {tenant, perSecond}` is published besides, and nobody waits for it. It is answered with the figures of this process, and with how long each took from being published until it was
// told on the exchange that Genesys has taken it.
const { connect } = require('amqplib');
const { startMeter } = require('../harness/meter');

/** The limits of the histogram, in milliseconds. */
const LIMITS = [25, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000, 5_000, Number.POSITIVE_INFINITY];
const TOLD_WITHIN_MS = 120_000;

let opened;
let number = 0;
/** When each message was published that is not sent yet, and what to do with each event of its status. */
const published = new Map();
let onEvent = () => {};

async function open({ url, exchange }) {
  const connection = await connect(url);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, 'message.status.#');
  await channel.consume(queue, ({ content }) => onEvent(JSON.parse(content.toString())), { noAck: true });
  return channel;
}

function publish(channel, queue, tenant) {
  number += 1;
  const messageId = `bench-${process.pid}-${number}`;
  const message = {
    messageId,
    tenantId: tenant,
    from: { id: `+1555${String(number % 10_000).padStart(6, '0')}`, nickname: 'Ada' },
    textBody: `Message number ${number}: is anybody there who could help me with my order?`,
  };
  const options = { persistent: true, contentType: 'application/json', messageId };
  channel.sendToQueue(queue, Buffer.from(JSON.stringify(message)), options);
  return messageId;
}

function publishMeasured(channel, { queue, organizations }) {
  const at = performance.now();
  published.set(publish(channel, queue, `t${(number % organizations) + 1}`), at);
}

/** Publishes what nobody waits for, until the function it gives back is called. */
function startFlood(channel, queue, { tenant, perSecond }) {
  const began = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) * perSecond) / 1_000;
    for (; done < due; done += 1) publish(channel, queue, tenant);
  }, 10);
  return () => clearInterval(timer);
}

async function publishAll(channel, order) {
  const { count, perSecond } = order;
  const began = performance.now();
  for (let done = 0; done < count; ) {
    const due = perSecond ? Math.min(count, Math.floor(((performance.now() - began) * perSecond) / 1_000) + 1) : count;
    for (; done < due; done += 1) publishMeasured(channel, order);
    if (done < count) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await channel.waitForConfirms();
}

/** Resolves with the latencies when each message was told as sent once; an event that is told again does not count. */
function allSent(count) {
  const latencies = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`only ${latencies.length} of ${count} messages were sent`)),
      TOLD_WITHIN_MS,
    );
    onEvent = ({ messageId, status, error }) => {
      const at = published.get(messageId);
      if (at === undefined || status === 'queued') return;
      if (status !== 'sent') reject(new Error(`${messageId} is ${status}: ${error?.message}`));
      published.delete(messageId);
      latencies.push(performance.now() - at);
      if (latencies.length < count) return;
      clearTimeout(timer);
      resolve(latencies);
    };
  });
}

function histogramOf(latencies) {
  return LIMITS.map((upToMs, index) => ({
    // JSON, over which the parent is told, has no word for infinity.
    upToMs: Number.isFinite(upToMs) ? upToMs : Number.MAX_SAFE_INTEGER,
    items: latencies.filter((latency) => latency <= upToMs && latency > (LIMITS[index - 1] ?? -1)).length,
  }));
}

process.on('message', async (order) => {
  opened ??= open(order);
  const channel = await opened;
  const stop = startMeter();
  const sent = allSent(order.count);
  const stopFlood = order.flood ? startFlood(channel, order.queue, order.flood) : () => {};
  const [latencies] = await Promise.all([sent, publishAll(channel, order)]);
  stopFlood();
  const sorted = latencies.sort((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  process.send({ ...stop(), latencyMs: { p50: at(0.5), p95: at(0.95), histogram: histogramOf(sorted) } });
});

process.once('disconnect', () => process.exit());
