import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ContactError } from '../../../../lib/core/errors';
import { incomingKey, readIncoming } from '../../../../lib/genesys/messaging/incoming';
import {
  type Received,
  WebhookReceiver,
  type WebhookReceiverOptions,
} from '../../../../lib/genesys/messaging/receiver';
import type { MessageRecord, StatusEvent } from '../../../../lib/genesys/messaging/record';
import { MessageRecords } from '../../../../lib/genesys/messaging/records';
import { isSigned } from '../../../../lib/genesys/messaging/signature';
import { StatusTracker } from '../../../../lib/genesys/messaging/tracker';
import type { TenantOrganization } from '../../../../lib/genesys/tenants/tenant';
import { MemoryStore } from '../../../../lib/store/memory';

const secret = 'the secret of the webhook';
const sign = (body: string | Buffer, key = secret) =>
  `sha256=${createHmac('sha256', key).update(body).digest('base64')}`;
const text = (change: Record<string, unknown> = {}) => ({
  id: randomUUID(),
  channel: {
    id: 'integration',
    platform: 'Open',
    type: 'Private',
    to: { id: 'customer' },
    from: { nickname: 'Support', id: 'integration', idType: 'Opaque' },
    time: '2026-01-15T10:30:45.123Z',
    messageId: 'x',
  },
  type: 'Text',
  text: 'Hello',
  direction: 'Outbound',
  ...change,
});

describe('the signature of the webhook', () => {
  it('is right for the bytes as they came, and for what JSON makes of them', () => {
    const spaced = Buffer.from('{ "text": "Grüße" }');
    assert.ok(isSigned(spaced, sign(spaced), [secret]));
    assert.ok(isSigned(spaced, sign('{"text":"Grüße"}'), [secret], { text: 'Grüße' }));
    assert.ok(isSigned(spaced, sign(spaced, 'other'), [secret, 'other']));
  });

  it('is wrong in every other case', () => {
    const body = Buffer.from('{}');
    const hex = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
    for (const header of [undefined, '', 'sha256=', hex, sign(body, 'other'), sign('{} '), sign(body).slice(7)]) {
      assert.equal(isSigned(body, header, [secret]), false, String(header));
    }
    assert.equal(isSigned(body, sign(body), []), false);
  });
});

describe('the webhook', () => {
  let store: MemoryStore;
  let records: MessageRecords;
  let events: StatusEvent[];
  let received: Received[];
  let receiver: WebhookReceiver;
  let emit: (received: Received) => Promise<void>;
  const organization = {
    tenantId: 't',
    integrationId: 'integration',
    webhookSecret: 'of the tenant',
  } as TenantOrganization;

  beforeEach(() => {
    store = new MemoryStore();
    records = new MessageRecords(store, 3_600_000);
    events = [];
    received = [];
    emit = async () => {};
    open();
  });

  function open(options: Partial<WebhookReceiverOptions> = {}): void {
    const publish = async (event: StatusEvent) => {
      events.push(event);
    };
    receiver = new WebhookReceiver({
      secret,
      store,
      records,
      tracker: new StatusTracker({ records, channel: { publish } }),
      organizationOf: (integrationId) => (integrationId === 'integration' ? organization : undefined),
      emit: async (each) => {
        received.push(each);
        await emit(each);
      },
      ...options,
    });
  }

  const post = (body: unknown, signature?: string) => {
    const raw = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return receiver.receive(raw, signature ?? sign(raw));
  };

  async function message(change: Partial<MessageRecord> = {}): Promise<MessageRecord> {
    const record: MessageRecord = {
      messageId: 'm1',
      tenantId: 't',
      mode: 'inbound',
      time: '2026-01-15T10:30:45.123Z',
      status: 'sent',
      attempts: 1,
      genesysMessageId: 'g1',
      history: [],
      ...change,
    };
    await records.accept(record);
    await records.link(record);
    return record;
  }
  const receipt = (status: string, change: Record<string, unknown> = {}) => {
    const { channel } = text();
    const { messageId: _other, ...rest } = channel;
    return { id: 'g1', channel: rest, type: 'Receipt', status, direction: 'Outbound', ...change };
  };

  it('hands a text on, with the customer and the tenant', async () => {
    const body = text();
    assert.deepEqual(await post(body), { status: 200, outcome: 'taken' });
    const [{ incoming, organization: whose } = assert.fail()] = received;
    assert.deepEqual([incoming.kind, incoming.customerId, incoming.id], ['message', 'customer', body.id]);
    assert.equal(whose?.tenantId, 't');
    assert.deepEqual(incoming.body, body);
  });

  it('takes what is signed with the secret of the organization as well', async () => {
    const body = JSON.stringify(text());
    assert.equal((await post(body, sign(body, 'of the tenant'))).status, 200);
  });

  it('refuses what is forged, and says nothing about what it has seen', async () => {
    const body = JSON.stringify(text());
    await post(body);
    for (const signature of ['', 'sha256=AAAA', sign(body, 'guessed'), sign(`${body} `)]) {
      assert.deepEqual(await receiver.receive(Buffer.from(body), signature), { status: 401, outcome: 'forged' });
    }
    assert.equal(received.length, 1);
    assert.equal(receiver.counts().forged, 4);
  });

  it('takes the same thing once, however often and at whatever time it is posted', async () => {
    const body = text();
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(body)));
    assert.deepEqual(answers.map(({ outcome }) => outcome).toSorted(), [...Array(4).fill('duplicate'), 'taken']);
    open();
    assert.deepEqual(await post(body), { status: 200, outcome: 'duplicate' });
    assert.equal(received.length, 1);
  });

  it('answers with 503 what the flow could not take, and takes it when it is posted again', async () => {
    emit = () => Promise.reject(new ContactError('BUSY', { attempted: 'settle' }));
    const body = text();
    assert.equal((await post(body)).status, 503);
    emit = async () => {};
    assert.equal((await post(body)).outcome, 'taken');
    assert.equal(receiver.counts().notNow, 1);
  });

  it('counts what it could not take as that each time, also when it comes twice at once', async () => {
    emit = () => Promise.reject(new ContactError('BUSY', { attempted: 'settle' }));
    const body = text();
    const answers = await Promise.all([post(body), post(body)]);
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      ['not-now', 'not-now'],
    );
    const { received: all, notNow, duplicates } = receiver.counts();
    assert.deepEqual([all, notNow, duplicates], [2, 2, 0]);
  });

  it('answers in time when the flow is slow, and recognizes what was finished later', async () => {
    let finish = () => {};
    emit = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    open({ answerWithinMs: 20 });
    const body = text();
    assert.equal((await post(body)).status, 503);
    finish();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await post(body)).outcome, 'duplicate');
    assert.equal(received.length, 1);
  });

  it('leaves to another process what that is handling, until it must be dead', async () => {
    const body = text();
    await store.add(`webhook/${incomingKey(readIncoming(body))}`, 'busy', { expiresInMs: 30 });
    assert.equal((await post(body)).status, 503);
    await new Promise((resolve) => setTimeout(resolve, 40));
    assert.equal((await post(body)).outcome, 'taken');
  });

  it('takes everything that is signed, whatever it is, and never answers 4xx to what the vendor may invent', async () => {
    for (const body of [{}, { type: 'Hologram', id: 'h' }, { type: 'Event', events: [] }, { channel: 7, id: 9 }]) {
      assert.equal((await post(body)).status, 200, JSON.stringify(body));
    }
    assert.deepEqual(
      received.map(({ incoming }) => incoming.kind),
      ['event', 'event', 'event', 'event'],
    );
    assert.equal((await post('[1]')).status, 400);
    assert.equal((await post('no JSON')).status, 400);
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (body) => {
        assert.equal((await post(body)).status, 200);
      }),
    );
  });

  it('goes on without its memory when the store is away', async () => {
    const failing = new MemoryStore();
    open({ store: failing });
    await failing.close();
    assert.equal((await post(text())).status, 200);
  });

  describe('with receipts', () => {
    for (const [status, told] of [
      ['Delivered', 'delivered'],
      ['Read', 'delivered'],
      ['Published', 'delivered'],
      ['Failed', 'failed'],
    ] as const) {
      it(`turns ${status} into the status ${told}`, async () => {
        await message();
        await post(receipt(status, { reasons: [{ code: 'MessageExpired', message: 'too old' }] }));
        assert.equal((await records.find('m1'))?.record.status, told);
        assert.deepEqual(
          events.map((event) => event.status),
          [told],
        );
        assert.equal(received[0]?.record?.messageId, 'm1');
        if (told === 'failed') assert.match(events[0]?.error?.message ?? '', /MessageExpired: too old/);
      });
    }

    it('changes nothing with a status that is no end, and tells nothing twice', async () => {
      await message();
      await post(receipt('Sent'));
      await post(receipt('Delivered'));
      await post(receipt('Read'));
      assert.equal(events.length, 1);
      assert.deepEqual(
        received.map((each) => each.receipt?.vendorStatus),
        ['Sent', 'Delivered', 'Read'],
      );
    });

    it('finds the message by the publisher’s id when the vendor names it', async () => {
      await message({ genesysMessageId: 'another' });
      await post({ ...receipt('Delivered'), channel: { ...text().channel, messageId: 'm1' } });
      assert.equal((await records.find('m1'))?.record.status, 'delivered');
    });

    it('waits for a message whose answer has not been written down yet', async () => {
      const record = await message({ status: 'queued' });
      const answer = post(receipt('Delivered'));
      setTimeout(() => void records.save({ key: 'messages/m1', record: { ...record, status: 'sent' } }), 80);
      assert.equal((await answer).status, 200);
      assert.equal((await records.find('m1'))?.record.status, 'delivered');
    });

    it('hands on a receipt for a message that it does not know', async () => {
      const began = Date.now();
      assert.equal(
        (await post({ ...receipt('Delivered'), channel: { ...text().channel, messageId: 'z' } })).status,
        200,
      );
      assert.ok(Date.now() - began < 500);
      assert.equal(received[0]?.record, undefined);
      assert.equal(events.length, 0);
    });
  });
});
