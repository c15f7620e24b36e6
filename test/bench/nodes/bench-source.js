// Feeds documents into a flow inside of the Node-RED that is measured, and measures that process. It is loaded with
// the setting nodesDir, so that nothing of it is in the pack.
const { startMeter } = require('../harness/meter');
const { MESSAGES } = require('../harness/events');
const { monitored } = require('../../../dist/lib/monitor/registry');
const { vitals } = require('../harness/vitals');

/** So many messages enter the flow in one turn of the event loop. */
const BURST = 250;

module.exports = (RED) => {
  let stopMeter;
  let source;

  /** These two measure while something outside makes the traffic. */
  RED.httpAdmin.post('/bench/meter/start', (_request, response) => {
    stopMeter = startMeter();
    response.json({});
  });
  RED.httpAdmin.post('/bench/meter/stop', (_request, response) => response.json(stopMeter()));

  /** For a run of hours. */
  RED.httpAdmin.get('/bench/vitals', (_request, response) => response.json(vitals()));

  /** `?documents=&window=`: sends so many documents, with at most `window` on their way, and answers the figures. */
  RED.httpAdmin.post('/bench/run', ({ query }, response) => {
    source.run(Number(query.documents), Number(query.window), (figures) => response.json(figures));
  });

  /** `?documents=`: sends so many documents without a look at what becomes of them, and answers when they are sent. */
  RED.httpAdmin.post('/bench/send', ({ query }, response) => {
    const documents = Number(query.documents);
    source.run(documents, documents, () => {});
    source.onSent = () => response.json({});
  });

  /**
   * `?documents=`: sends `resume`, waits until the node `counted` has acknowledged so many messages, sends `pause`, and
   * answers the figures from the one to the other.
   */
  RED.httpAdmin.post('/bench/receive', ({ query }, response) => {
    source.count(Number(query.documents), (figures) => response.json(figures));
  });

  /**
   * Sends a document in each message, of the kind `message`; see events.js. Each message that comes in says that
   * documents are stored: `payload.delivered` of them, or one.
   */
  function BenchSource(definition) {
    RED.nodes.createNode(this, definition);
    source = this;
    const { message: kind = 'document', idProperty } = definition;
    const makeMessage = MESSAGES[kind];
    let proceed = () => {};
    let stored = 0;

    this.run = (documents, window, report) => {
      const stop = startMeter();
      let sent = 0;
      let scheduled = false;
      stored = 0;
      const burst = () => {
        scheduled = false;
        const end = Math.min(sent + BURST, documents, stored + window);
        for (; sent < end; sent += 1) {
          this.send(makeMessage(sent, idProperty));
        }
        if (sent >= documents) this.onSent?.();
        proceed();
      };
      proceed = () => {
        if (stored >= documents) {
          proceed = () => {};
          report(stop());
        } else if (!scheduled && sent < Math.min(documents, stored + window)) {
          scheduled = true;
          setImmediate(burst);
        }
      };
      proceed();
    };

    this.count = (documents, report) => {
      const counted = monitored.all().find(({ id }) => id === definition.counted);
      const acknowledged = () => counted.report().details.deliveries.acknowledged;
      const goal = acknowledged() + documents;
      const stop = startMeter();
      const look = () => {
        if (acknowledged() < goal) {
          setTimeout(look, 1);
          return;
        }
        const figures = stop();
        this.send({ payload: 'pause' });
        report(figures);
      };
      this.send({ payload: 'resume' });
      look();
    };
    this.on('input', (message, _send, done) => {
      stored += message.payload?.delivered ?? 1;
      proceed();
      done();
    });
  }
  RED.nodes.registerType('bench-source', BenchSource);
};
