import assert from 'node:assert/strict';
import { settleDelivery } from '../../../lib/core/deliveries';
import { readConversation } from '../../../lib/zoho/conversation';
import { repetitions } from '../../services/requirements';
import { startZohoSimulator, type ZohoSimulator } from '../../simulators/zoho';
import { DAY, HOUR, INTERVAL, World } from '../cody/harness';
import { CaseProcess } from '../zoho/harness';

const CONVERSATIONS = 500;
/** A quarter of a day, or a whole one. */
const POLLS = repetitions(720, 2_880);

describe(`${CONVERSATIONS} known conversations of the last 30 days`, function () {
  this.timeout(300_000);
  let world: World;
  let zoho: ZohoSimulator;
  let process: CaseProcess;

  beforeEach(async () => {
    world = new World();
    await world.start();
    zoho = await startZohoSimulator({ now: () => world.time.now });
    process = new CaseProcess(zoho, { settings: { note: true }, timeoutMs: 10_000 });
  });
  afterEach(async () => {
    process.close();
    await world.close();
    await zoho.close();
  });

  it('cost one or two calls of Cody a poll on average, and none of Zoho', async () => {
    for (let number = 0; number < CONVERSATIONS; number++) {
      world.cody.chat({ createdAt: world.time.now - HOUR - (number * 29 * DAY) / CONVERSATIONS });
    }
    const tested = world.poller();
    tested.onSend = (message) => {
      void process.write(readConversation(message.payload)).then(() => {
        settleDelivery(message, { kind: 'acknowledge' });
      });
      return undefined;
    };
    await tested.poller.poll();
    while (tested.poller.looks.underWay > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(zoho.cases.length, CONVERSATIONS);

    zoho.api.clearCounts();
    world.cody.api.clearCounts();
    let most = 0;
    for (let number = 0; number < POLLS; number++) {
      await world.pass(INTERVAL);
      await tested.poller.poll();
      most = Math.max(most, tested.poller.counters.callsInLastPoll);
    }
    const { conversations, messages } = world.cody.calls;
    assert.equal(zoho.api.total, 0);
    assert.equal(tested.sent.length, CONVERSATIONS);
    // Each poll reads the newest page, and once an hour all 34 of them are read.
    assert.ok(conversations <= 1.4 * POLLS, `${conversations} lists in ${POLLS} polls`);
    // Whether a conversation has grown can only be seen in its messages; the older it is, the less often they are read.
    assert.ok(messages <= 0.2 * POLLS, `${messages} looks in ${POLLS} polls`);
    assert.ok(most <= 40, `${most} calls in one poll`);
  });
});
