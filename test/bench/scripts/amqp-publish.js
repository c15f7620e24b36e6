// Confirmed publishes with amqplib alone, in a plain script without Node-RED: persistent and mandatory, with a window of
// messages that wait for their confirmation. Every message `{url, exchange, routingKey, count, window}` of the parent is
// a run, and is answered with its figures.
const { connect } = require('amqplib');
const { startMeter } = require('../harness/meter');
const { makeEnvelope } = require('../harness/events');

let connected;

async function open(url) {
  const connection = await connect(url, { noDelay: true });
  return { connection, channel: await connection.createConfirmChannel() };
}

function publishAll(channel, { exchange, routingKey, count, window }) {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let confirmed = 0;
    const proceed = () => {
      for (; sent < Math.min(count, confirmed + window); sent += 1) {
        const event = makeEnvelope(sent);
        const options = {
          persistent: true,
          mandatory: true,
          contentType: 'application/json',
          messageId: event.id,
          type: event.type,
        };
        channel.publish(exchange, routingKey, Buffer.from(JSON.stringify(event)), options, (error) => {
          confirmed += 1;
          if (error) reject(error);
          else if (confirmed === count) resolve();
          else if (sent < count && confirmed + window > sent) proceed();
        });
      }
    };
    proceed();
  });
}

process.on('message', async ({ url, ...order }) => {
  connected ??= open(url);
  const { channel } = await connected;
  const stop = startMeter();
  await publishAll(channel, order);
  process.send(stop());
});
process.once('disconnect', async () => (await connected)?.connection.close());
