import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import fc from 'fast-check';
import { addFirstUser, Login } from '../../../lib/calls/login';
import { MemoryCallStore } from '../../../lib/calls/memory-store';
import { costOf, Passwords } from '../../../lib/calls/passwords';
import { Tokens } from '../../../lib/calls/tokens';
import { systemClock } from '../../../lib/core/clock';
import { ContactError } from '../../../lib/core/errors';

const SECRET = 'a secret key of the tests, long enough';
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1_000);

/** A token as an attacker would write it by hand. */
function forge(header: unknown, payload: unknown, signature: (data: string) => Buffer | string = hmac(SECRET)): string {
  const data = `${encode(header)}.${encode(payload)}`;
  const signed = signature(data);
  return `${data}.${typeof signed === 'string' ? signed : signed.toString('base64url')}`;
}

function hmac(key: string | Buffer, hash = 'sha256'): (data: string) => Buffer {
  return (data) => createHmac(hash, key).update(data).digest();
}

describe('tokens', () => {
  const tokens = new Tokens({ secret: SECRET, issuer: 'calls', audience: 'callers' });
  const claims = { sub: 'alice', iat: now(), exp: now() + 600, iss: 'calls', aud: 'callers' };
  const header = { alg: 'HS256', typ: 'JWT' };

  it('let in the user they were issued to', async () => {
    const { accessToken, tokenType, expiresInSeconds } = await tokens.issue('alice');
    assert.equal(await tokens.verify(accessToken), 'alice');
    assert.equal(tokenType, 'bearer');
    assert.equal(expiresInSeconds, 1_800);
  });

  it('let in who has one that was signed elsewhere with the same key and claims', async () => {
    assert.equal(await tokens.verify(forge(header, claims)), 'alice');
    const plain = new Tokens({ secret: SECRET });
    assert.equal(await plain.verify(forge({ alg: 'HS256' }, { sub: 'bob', iat: now(), exp: now() + 60 })), 'bob');
  });

  it('allow for clocks that differ by some seconds, and no more', async () => {
    assert.equal(await tokens.verify(forge(header, { ...claims, iat: now() + 3, nbf: now() + 3 })), 'alice');
    assert.equal(await tokens.verify(forge(header, { ...claims, exp: now() - 3 })), 'alice');
    await assert.rejects(tokens.verify(forge(header, { ...claims, iat: now() + 30 })), /from the future/);
    await assert.rejects(tokens.verify(forge(header, { ...claims, exp: now() - 30 })), /has expired/);
  });

  it('are looked at again when they have expired, also those that were valid before', async () => {
    let time = Date.now();
    const clock = { ...systemClock, now: () => time };
    const aging = new Tokens({ secret: SECRET, lifetimeMs: 60_000, clock });
    const { accessToken } = await aging.issue('alice');
    assert.equal(await aging.verify(accessToken), 'alice');
    time += 59_000;
    assert.equal(await aging.verify(accessToken), 'alice');
    time += 10_000;
    await assert.rejects(aging.verify(accessToken), /has expired/);
    await assert.rejects(aging.verify(accessToken), /has expired/);
  });

  it('are not made with a key of fewer than 32 characters', () => {
    assert.throws(
      () => new Tokens({ secret: 'x'.repeat(31) }),
      (error: ContactError) => error.code === 'CONFIGURATION' && !error.message.includes('xxx'),
    );
  });

  it('let nobody in who has forged one: 0 of 200', async () => {
    const { accessToken } = await tokens.issue('alice');
    const [head = '', body = '', signature = ''] = accessToken.split('.');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const withAlgorithm = ['none', 'None', 'NONE', 'HS384', 'HS512', 'RS256', 'ES256', 'EdDSA', '', 'hs256', null, 1];
    const withoutClaim = ['sub', 'iat', 'exp', 'iss', 'aud'];
    const withClaim: Record<string, unknown>[] = [
      { exp: now() - 3_600 },
      { exp: 'never' },
      { exp: null },
      { exp: -1 },
      { iat: now() + 3_600 },
      { iat: 'x' },
      { nbf: now() + 3_600 },
      { iss: 'Calls' },
      { iss: ['calls'] },
      { aud: 'others' },
      { aud: [] },
      { aud: ['caller'] },
      { sub: '' },
      { sub: null },
      { sub: 0 },
      { sub: { name: 'alice' } },
      { sub: 'a'.repeat(65) },
    ];
    const forged: string[] = [
      ...withAlgorithm.flatMap((alg) => [
        forge({ ...header, alg }, claims),
        forge({ ...header, alg }, claims, () => ''),
        `${encode({ ...header, alg })}.${body}.${signature}`,
      ]),
      forge({ alg: 'RS256' }, claims, (data) => sign('sha256', Buffer.from(data), rsa.privateKey)),
      forge(header, claims, hmac(rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string)),
      ...['', SECRET.slice(1), `${SECRET} `, SECRET.toUpperCase(), Buffer.from(SECRET).toString('base64')].map((key) =>
        forge(header, claims, hmac(key)),
      ),
      ...['sha384', 'sha512', 'sha1'].map((hash) => forge(header, claims, hmac(SECRET, hash))),
      ...withoutClaim.map((name) => forge(header, { ...claims, [name]: undefined })),
      ...withClaim.map((claim) => forge(header, { ...claims, ...claim })),
      ...[null, [], 'alice', 1, true].map((payload) => forge(header, payload)),
      forge({ ...header, crit: ['exp'] }, claims),
      forge({ ...header, b64: false, crit: ['b64'] }, claims),
      forge({ alg: 'HS256', jwk: { kty: 'oct', k: 'AA' } }, claims, hmac(Buffer.alloc(1))),
      forge({ alg: 'HS256', kid: '../../../dev/null' }, claims, hmac('')),
      ...[
        '',
        '.',
        '..',
        '...',
        'a.b.c',
        `${head}.${body}`,
        `${head}.${body}.`,
        `.${body}.${signature}`,
        'x'.repeat(9_000),
      ],
      `${head}.${encode({ ...claims, sub: 'root' })}.${signature}`,
      `${head}.${body}.${signature}.${signature}`,
      ` ${head}.${body}`,
    ];
    for (let index = 0; forged.length < 200; index += 1) {
      const spoiled = Buffer.from(signature, 'base64url');
      spoiled[index % 32] = spoiled[index % 32]! ^ (1 << (index % 8));
      forged.push(`${head}.${body}.${spoiled.toString('base64url')}`);
    }
    let accepted = 0;
    for (const token of forged.slice(0, 200)) {
      await tokens.verify(token).then(
        () => {
          accepted += 1;
        },
        (error: unknown) => {
          assert.ok(error instanceof ContactError && error.code === 'REFUSED' && error.reason === 'invalid_token');
          assert.ok(!error.message.includes(SECRET));
        },
      );
    }
    assert.equal(accepted, 0);
  });

  it('let nobody in with any text at all', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200 }), async (text) => {
        await assert.rejects(tokens.verify(text), (error: ContactError) => error.code === 'REFUSED');
      }),
    );
  });
});

describe('the login', () => {
  let passwords: Passwords;
  let store: MemoryCallStore;
  const PASSWORD = 'correct horse battery';
  /** Cheap, so that the tests are quick: 2^4 rounds of this very password. */
  let cheapHash: string;

  before(async () => {
    const { hash } = (await import('bcryptjs')).default;
    cheapHash = await hash(PASSWORD, 4);
  });

  beforeEach(async () => {
    passwords = new Passwords();
    store = new MemoryCallStore();
    await addFirstUser(store, 'alice', cheapHash);
  });
  afterEach(() => passwords.close());

  const reason = (wanted: string) => (error: unknown) => error instanceof ContactError && error.reason === wanted;

  it('lets a user in with the right password, and nobody else', async () => {
    const login = new Login({ store, passwords });
    await login.enter('alice', PASSWORD, '::1');
    await assert.rejects(login.enter('alice', `${PASSWORD} `, '::1'), reason('invalid_credentials'));
    await assert.rejects(login.enter('Alice', PASSWORD, '::1'), reason('invalid_credentials'));
    await assert.rejects(login.enter('', '', '::1'), reason('invalid_credentials'));
    await store.saveUser({ ...(await store.user('alice'))!, disabled: true });
    await assert.rejects(login.enter('alice', PASSWORD, '::1'), reason('invalid_credentials'));
  });

  it('starts no thread any more for who is still waiting when it is closed', async () => {
    const login = new Login({ store, passwords });
    const entering = Array.from({ length: 3 }, () => login.enter('alice', PASSWORD, '::1'));
    const outcomes = Promise.allSettled(entering);
    await passwords.close();
    for (const outcome of await outcomes) {
      assert.equal(outcome.status === 'rejected' && (outcome.reason as ContactError).code, 'CLOSED');
    }
    await assert.rejects(passwords.check(PASSWORD, cheapHash), { code: 'CLOSED' });
  });

  it('locks a name out after 1,000 guesses at once, also for the right password, whether the user exists or not', async () => {
    const login = new Login({ store, passwords, addressFailures: 1_000_000 });
    for (const name of ['alice', 'nobody']) {
      const reasons = new Map<string, number>();
      for (let batch = 0; batch < 10; batch += 1) {
        await Promise.all(
          Array.from({ length: 100 }, (_, index) =>
            login.enter(name, `guess ${batch} ${index}`, `10.0.${batch}.${index}`).catch((error: ContactError) => {
              reasons.set(error.reason!, (reasons.get(error.reason!) ?? 0) + 1);
            }),
          ),
        );
      }
      assert.deepEqual(Object.fromEntries(reasons), { invalid_credentials: 5, locked_out: 995 });
      await assert.rejects(login.enter(name, PASSWORD, '::1'), (error: ContactError) => {
        assert.ok(error.retryAfterMs! > 800_000);
        return reason('locked_out')(error);
      });
    }
  });

  it('locks an address out that tries many names, and turns away more attempts at once than it can look at', async () => {
    const login = new Login({ store, passwords });
    const outcomes = await Promise.all(
      Array.from({ length: 130 }, (_, index) =>
        login.enter(`user${index}`, 'guess', '10.0.0.1').catch((error: ContactError) => error.reason),
      ),
    );
    const count = (wanted: string) => outcomes.filter((outcome) => outcome === wanted).length;
    assert.equal(count('invalid_credentials'), 20);
    assert.equal(count('too_many_requests'), 30);
    assert.equal(count('locked_out'), 80);
    await login.enter('alice', PASSWORD, '10.0.0.2');
    await assert.rejects(login.enter('alice', PASSWORD, '10.0.0.1'), reason('locked_out'));
  });

  it('forgets the failures of a user who gets in, and ends a lock after its time', async () => {
    const login = new Login({ store, passwords, lockMs: 1_000 });
    for (let round = 0; round < 3; round += 1) {
      for (let wrong = 0; wrong < 4; wrong += 1) await assert.rejects(login.enter('alice', 'no', '::1'));
      await login.enter('alice', PASSWORD, '::1');
    }
    const short = new Login({ store, passwords, userFailures: 1, lockMs: 200 });
    await assert.rejects(short.enter('alice', 'no', '::1'), reason('invalid_credentials'));
    await assert.rejects(short.enter('alice', PASSWORD, '::1'), reason('locked_out'));
    let isIn = false;
    while (!isIn)
      isIn = await short.enter('alice', PASSWORD, '::1').then(
        () => true,
        (error: unknown) => !reason('locked_out')(error),
      );
  });

  it('compares the same number of hashes of the same cost for a known, a disabled and an unknown user', async () => {
    const asked: (number | undefined)[] = [];
    class Watched extends Passwords {
      override check(password: string, hash: string | undefined, cost?: number) {
        asked.push(hash === undefined ? cost : costOf(hash));
        return super.check(password, hash, cost);
      }
    }
    const watched = new Watched();
    const login = new Login({ store, passwords: watched });
    await assert.rejects(login.enter('alice', 'wrong', '::1'));
    await assert.rejects(login.enter('nobody', 'wrong', '::1'));
    await assert.rejects(login.enter("'; drop table users", 'wrong', '::1'));
    assert.deepEqual(asked, [4, 4, 4]);
    await watched.close();
  });

  it('takes new passwords of 10 characters to 72 bytes only, and never a longer one for a shorter', async () => {
    await assert.rejects(passwords.hash('too short'), /fewer than 10/);
    await assert.rejects(passwords.hash('x'.repeat(73)), /more than 72/);
    const long = randomBytes(36).toString('hex');
    const hash = await passwords.hash(long);
    assert.equal(costOf(hash), 12);
    assert.equal(await passwords.check(long, hash), true);
    assert.equal(await passwords.check(`${long}and more`, hash), false);
  });

  it('takes a first user once, with a bcrypt hash only', async () => {
    assert.equal(await addFirstUser(store, 'alice', cheapHash.replace('a', 'b')), false);
    assert.equal((await store.user('alice'))?.passwordHash, cheapHash);
    assert.equal(await addFirstUser(store, 'bob', cheapHash), true);
    await assert.rejects(addFirstUser(store, 'carol', PASSWORD), (error: ContactError) => {
      assert.ok(!error.message.includes(PASSWORD));
      return error.code === 'CONFIGURATION';
    });
    await assert.rejects(
      addFirstUser(store, 'no spaces', cheapHash),
      (error: ContactError) => error.code === 'CONFIGURATION',
    );
  });
});
