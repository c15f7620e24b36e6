// Consuming and acknowledging with amqplib alone, in a plain script without Node-RED. Every message
// `{url, queue, count, prefetch}` of the parent is a run over a queue that holds so many messages, and is answered with
// its figures.
const { connect } = require('amqplib');
const { startMeter } = require('../harness/meter');

let connected;

async function open(url) {
  const connection = await connect(url, { noDelay: true });
  return { connection, channel: await connection.createChannel() };
}

function consumeAll(channel, queue, count, consumerTag) {
  return new Promise((resolve, reject) => {
    let received = 0;
    const take = (message) => {
      JSON.parse(message.content.toString());
      channel.ack(message);
      received += 1;
      if (received === count) resolve();
    };
    channel.consume(queue, take, { consumerTag }).catch(reject);
  });
}

process.on('message', async ({ url, queue, count, prefetch }) => {
  connected ??= open(url);
  const { channel } = await connected;
  await channel.prefetch(prefetch);
  const consumerTag = 'bench';
  const stop = startMeter();
  await consumeAll(channel, queue, count, consumerTag);
  const figures = stop();
  await channel.cancel(consumerTag);
  process.send(figures);
});
process.once('disconnect', async () => (await connected)?.connection.close());
