// Sends requests over HTTP and times each. Every message `{method, url, headers, body, count, perSecond | concurrency,
// modulo?}` of the parent is a run; `{number}` in the address and the body is replaced by the number of the request,
// which begins again at 0 after `modulo` requests. It is answered with the figures of this process and the latencies.
const { Agent, request } = require('node:http');
const { startMeter } = require('../harness/meter');

const agent = new Agent({ keepAlive: true });

/** Resolves with the milliseconds that it took; an answer that is no 2xx is an error. */
function send({ method, url, headers, body, modulo = 1_000_000 }, each) {
  const number = String(each % modulo).padStart(6, '0');
  const text = body?.replaceAll('{number}', number);
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const options = { method, agent, headers: { ...headers, ...(text ? { 'content-length': text.length } : {}) } };
    const call = request(url.replaceAll('{number}', number), options, (answer) => {
      let received = '';
      answer.setEncoding('utf8').on('data', (chunk) => {
        received += chunk;
      });
      answer.on('end', () => {
        if (answer.statusCode < 300) resolve(performance.now() - began);
        else reject(new Error(`${method} ${url} was answered with ${answer.statusCode}: ${received}`));
      });
    });
    call.on('error', reject);
    call.end(text);
  });
}

/** At a steady rate, whatever the answers take: a slow one does not hold up those after it. */
async function steadily(order, from) {
  const { count, perSecond } = order;
  const began = performance.now();
  const answers = [];
  for (let index = 0; index < count; index += 1) {
    answers.push(send(order, from + index));
    const waitMs = began + ((index + 1) * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  return Promise.all(answers);
}

/** As fast as the answers come, so many at a time. */
async function atOnce(order, from) {
  const latencies = [];
  let next = 0;
  const worker = async () => {
    while (next < order.count) latencies.push(await send(order, from + next++));
  };
  await Promise.all(Array.from({ length: order.concurrency }, worker));
  return latencies;
}

let sent = 0;

process.on('message', async (order) => {
  const stop = startMeter();
  const latencies = await (order.perSecond ? steadily(order, sent) : atOnce(order, sent));
  sent += order.count;
  const sorted = latencies.sort((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  process.send({ ...stop(), latencyMs: { p50: at(0.5), p95: at(0.95) } });
});
