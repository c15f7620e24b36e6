import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ContactError } from '../../../../lib/core/errors';
import { mediaTypeOf, mimeOf } from '../../../../lib/genesys/messaging/mime';
import { identityOf, LONGEST_TEXT, readMessage } from '../../../../lib/genesys/messaging/read-message';

const message = { messageId: 'm1', tenantId: 't1', from: { id: '+49123456789', nickname: 'Ada' }, textBody: 'Hello' };
const picture = { contentType: 'Attachment', attachment: { url: 'https://media.example.com/a.PNG?x=1' } };
const original = {
  metadata: { tenantId: 't1', whatsapp_message_id: 'wamid.1', timestamp: '2026-01-15T10:30:45Z', correlationId: 'c1' },
  genesysPayload: {
    id: 'p1',
    channel: {
      platform: 'Open',
      type: 'Private',
      messageId: 'wamid.1',
      to: { id: 'integration-1' },
      from: { nickname: 'Ada', id: '49123456789', idType: 'Opaque', firstName: 'Ada' },
      time: '2026-01-15T10:30:45.000Z',
    },
    type: 'Text',
    text: 'Hello',
    direction: 'Inbound',
  },
};

/** What is wrong with a message. */
function problemsOf(payload: unknown): string {
  try {
    readMessage(payload);
  } catch (thrown) {
    assert.ok(thrown instanceof ContactError);
    assert.equal(thrown.code, 'INVALID_INPUT');
    assert.equal(thrown.retryable, false);
    return thrown.message;
  }
  return '';
}

describe('a message of the queue', () => {
  it('is read as an object, as text and as bytes', () => {
    const expected = {
      messageId: 'm1',
      tenantId: 't1',
      mode: 'inbound',
      from: { id: '+49123456789', idType: 'Phone', nickname: 'Ada' },
      text: 'Hello',
      attachments: [],
    };
    for (const payload of [message, JSON.stringify(message), Buffer.from(JSON.stringify(message))]) {
      assert.deepEqual(readMessage(payload), expected);
    }
  });

  it('is read in the form of the original service as well', () => {
    assert.deepEqual(readMessage(original), {
      messageId: 'wamid.1',
      tenantId: 't1',
      integrationId: 'integration-1',
      mode: 'inbound',
      from: { id: '49123456789', idType: 'Opaque', nickname: 'Ada', firstName: 'Ada' },
      text: 'Hello',
      attachments: [],
      time: '2026-01-15T10:30:45.000Z',
      correlationId: 'c1',
    });
  });

  it('keeps files in their order, and finds out what kind of file each is', () => {
    const content = [
      picture,
      { contentType: 'Attachment', attachment: { url: 'https://x.example.com/1', mediaType: 'document', mime: 'a/b' } },
      { attachment: { url: 'https://x.example.com/2', filename: 'voice.ogg', id: 'f2' } },
    ];
    assert.deepEqual(readMessage({ ...message, textBody: undefined, content }).attachments, [
      { mediaType: 'Image', url: picture.attachment.url, mime: 'image/png' },
      { mediaType: 'File', url: 'https://x.example.com/1', mime: 'a/b' },
      { mediaType: 'Audio', url: 'https://x.example.com/2', mime: 'audio/ogg', filename: 'voice.ogg', id: 'f2' },
    ]);
  });

  it('keeps its own time as it is, and turns metadata into texts', () => {
    const read = readMessage({
      ...message,
      time: '2026-01-15T11:30:45+01:00',
      metadata: { n: 1, yes: true, no: null },
    });
    assert.equal(read.time, '2026-01-15T11:30:45+01:00');
    assert.deepEqual(read.metadata, { n: '1', yes: 'true' });
  });

  it('takes a text of 2,000 characters and refuses one more', () => {
    assert.equal(readMessage({ ...message, textBody: 'x'.repeat(LONGEST_TEXT) }).text?.length, 2_000);
    assert.match(problemsOf({ ...message, textBody: 'x'.repeat(2_001) }), /2001 characters, and 2000 are the most/);
  });

  const refused: [name: string, payload: unknown, problem: RegExp][] = [
    ['what is no JSON', '{"messageId"', /no JSON object/],
    ['a list', [message], /no JSON object/],
    ['nothing', undefined, /no JSON object/],
    ['no id', { ...message, messageId: '' }, /messageId is required/],
    ['an id that is no text', { ...message, messageId: 7 }, /messageId must be a text/],
    ['an id that is too long', { ...message, messageId: 'x'.repeat(257) }, /messageId must have at most 256 bytes/],
    ['no tenant', { ...message, tenantId: undefined }, /tenantId is required/],
    ['an unknown mode', { ...message, mode: 'outbound' }, /mode must be one of inbound, agentless, agent/],
    ['no customer', { ...message, from: undefined }, /from.id, the customer, is required/],
    ['a customer without an id', { ...message, from: { nickname: 'Ada' } }, /from.id must be a text/],
    ['an unknown kind of id', { ...message, from: { id: '1', idType: 'Fax' } }, /from.idType must be one of/],
    ['neither text nor content', { ...message, textBody: '  ' }, /neither text nor content/],
    ['content that is no list', { ...message, content: {} }, /content must be an array/],
    ['another kind of content', { ...message, content: [{ contentType: 'Card' }] }, /content\[0\] must be/],
    [
      'a file that is inline',
      { ...message, content: [{ attachment: { url: 'data:image/png;base64,AAAA' } }] },
      /content\[0\].attachment.url must be an address/,
    ],
    [
      'an unknown kind of file',
      { ...message, content: [{ attachment: { url: 'https://x.example.com/1', mediaType: 'Hologram' } }] },
      /content\[0\].attachment.mediaType must be one of/,
    ],
    [
      'content that is too large',
      {
        ...message,
        content: Array.from({ length: 300 }, () => ({
          attachment: { url: `https://x.example.com/${'x'.repeat(2_000)}` },
        })),
      },
      /500000 are the most/,
    ],
    ['a time without a zone', { ...message, time: '2026-01-15T10:30:45' }, /time must be a time as ISO 8601/],
    ['a time that is none', { ...message, time: '2026-13-45T10:30:45Z' }, /time must be a time as ISO 8601/],
    ['metadata that is no object', { ...message, metadata: 'x' }, /metadata must be an object/],
    ['metadata with a list', { ...message, metadata: { a: [1] } }, /metadata.a must be a text/],
    ['agentless without a customer', { ...message, mode: 'agentless' }, /to, the customer, is required/],
    [
      'agentless with a file',
      { ...message, mode: 'agentless', to: 'x', content: [picture] },
      /only a text can be sent/,
    ],
    ['an agent without a conversation', { ...message, mode: 'agent' }, /conversationId is required/],
    [
      'the other direction in the original form',
      { ...original, genesysPayload: { ...original.genesysPayload, direction: 'Outbound' } },
      /direction must be Inbound/,
    ],
    ['an empty original form', { genesysPayload: null }, /metadata.tenantId is required/],
  ];
  for (const [name, payload, problem] of refused) {
    it(`is refused with ${name}`, () => assert.match(problemsOf(payload), problem));
  }

  it('is refused with all that is wrong at once', () => {
    const told = problemsOf({ mode: 'x', content: 1, time: 'now' });
    for (const word of ['messageId', 'tenantId', 'mode', 'content', 'time']) assert.match(told, new RegExp(word));
  });

  it('is refused or read, whatever it is, and never makes it throw anything else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fc.record(
            {
              messageId: fc.anything(),
              tenantId: fc.anything(),
              from: fc.anything(),
              textBody: fc.anything(),
              content: fc.anything(),
              metadata: fc.anything(),
              genesysPayload: fc.anything(),
            },
            { requiredKeys: [] },
          ),
        ),
        (payload) => {
          problemsOf(payload);
        },
      ),
    );
  });
});

describe('the identity of a message that cannot be read', () => {
  it('is found wherever a message that can be read has it', () => {
    const identity = { messageId: 'w1', tenantId: 't1' };
    const metadata = { tenantId: 't1', whatsapp_message_id: 'w1' };
    assert.deepEqual(identityOf({ ...identity, textBody: 7 }), identity);
    assert.deepEqual(identityOf({ metadata, genesysPayload: { type: 'Event', id: 'w1' } }), identity);
    assert.deepEqual(identityOf({ metadata, genesysPayload: { channel: { messageId: 'w1' }, id: 'p1' } }), identity);
    assert.deepEqual(identityOf({ metadata, genesysPayload: { type: 'Event' } }), identity);
    assert.deepEqual(identityOf({ metadata, genesysPayload: null }), identity);
    for (const payload of [undefined, 'no JSON', {}, { messageId: 'w1' }, { metadata }]) {
      assert.equal(identityOf(payload), undefined, JSON.stringify(payload));
    }
  });
});

describe('the kind of a file', () => {
  it('follows from the ending of its name before that of its address', () => {
    assert.equal(mimeOf('a.pdf', 'https://x.example.com/b.png'), 'application/pdf');
    assert.equal(mimeOf(undefined, 'https://x.example.com/b.JPEG?c=.gif'), 'image/jpeg');
    assert.equal(mimeOf('README', 'https://x.example.com/'), 'application/octet-stream');
  });

  it('follows from its MIME type', () => {
    assert.deepEqual(['image/png', 'audio/ogg', 'video/mp4', 'application/pdf'].map(mediaTypeOf), [
      'Image',
      'Audio',
      'Video',
      'File',
    ]);
  });
});
