import assert from 'node:assert/strict';
import type { NodeMessage } from 'node-red';
import { settleDelivery } from '../../../lib/core/deliveries';
import { ContactError } from '../../../lib/core/errors';
import { AwaitedMessages } from '../../../lib/red/awaited-messages';

describe('awaited messages', () => {
  let awaited: AwaitedMessages;
  let sent: NodeMessage[];

  beforeEach(() => {
    awaited = new AwaitedMessages('the test', 'hand on a test');
    sent = [];
  });

  const send = () => awaited.send({ payload: 'hello' } as NodeMessage, (message) => sent.push(message));
  const error = new ContactError('REJECTED', { attempted: 'use the message' });

  it('are done when the flow has acknowledged them, or put them aside', async () => {
    for (const outcome of [{ kind: 'acknowledge' }, { kind: 'dead-letter', error }] as const) {
      const done = send();
      assert.equal(settleDelivery(sent.at(-1)!, outcome), true);
      await done;
    }
  });

  it('reject with the reason when they are to come again, and with one of their own when there is none', async () => {
    const [first, second] = [send(), send()];
    settleDelivery(sent[0]!, { kind: 'retry', error });
    settleDelivery(sent[1]!, { kind: 'retry' });
    await assert.rejects(first, error);
    await assert.rejects(
      second,
      (thrown: ContactError) => thrown.code === 'BUSY' && /hand on a test/.test(thrown.message),
    );
  });

  it('reject when nobody waits any longer, and can then no longer be settled', async () => {
    const done = send();
    awaited.close();
    await assert.rejects(done, (thrown: ContactError) => thrown.code === 'CLOSED');
    assert.equal(settleDelivery(sent[0]!, { kind: 'acknowledge' }), false);
    await assert.rejects(send(), (thrown: ContactError) => thrown.code === 'CLOSED');
    assert.equal(sent.length, 1);
  });
});
