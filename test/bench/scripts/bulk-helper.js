// The bulk helper of the Elasticsearch client in a plain script, without Node-RED. Every message
// `{url, index, documents}` of the parent is a run, and is answered with its figures.
const { Client } = require('@elastic/elasticsearch');
const { startMeter } = require('../harness/meter');
const { makeEvent } = require('../harness/events');

async function* events(count) {
  for (let number = 0; number < count; number += 1) yield makeEvent(number);
}

let client;

process.on('message', async ({ url, index, documents, flushBytes, concurrency }) => {
  client ??= new Client({ node: url });
  const stop = startMeter();
  await client.helpers.bulk({
    datasource: events(documents),
    flushBytes,
    concurrency,
    onDocument: ({ id }) => ({ index: { _index: index, _id: id } }),
  });
  process.send(stop());
});
