import assert from 'node:assert/strict';
import { redact, registerSecret, registerToken } from '../../../lib/core/redaction';

describe('redaction', () => {
  it('leaves nothing over of a secret that begins like another one, whichever was known first', () => {
    registerSecret('redaction-key');
    registerSecret('redaction-key-of-production');
    assert.equal(redact('redaction-key-of-production, redaction-key'), '***, ***');
  });

  it('knows what was configured however many tokens are issued after it, and of those the newest', () => {
    registerSecret('redaction-configured');
    registerToken('redaction-token-first');
    for (let number = 0; number < 2_000; number += 1) registerToken(`redaction-token-${number}-end`);
    assert.equal(redact('redaction-configured'), '***');
    assert.equal(redact('redaction-token-0-end redaction-token-1999-end'), '*** ***');
    assert.equal(redact('redaction-token-first'), 'redaction-token-first');
  });

  it('keeps a token that is met again', () => {
    registerToken('redaction-token-in-use');
    for (let number = 0; number < 1_999; number += 1) registerToken(`redaction-other-${number}-end`);
    registerToken('redaction-token-in-use');
    registerToken('redaction-other-one-more');
    assert.equal(redact('redaction-token-in-use'), '***');
  });
});
