import { createSecretKey, type KeyObject } from 'node:crypto';
import { type Clock, systemClock } from '../core/clock';
import { ContactError } from '../core/errors';

/** What tokens are made and checked with. */
export interface TokenSettings {
  /** At least 32 characters. */
  secret: string;
  /** The claim `iss`; neither set nor asked for when left out. */
  issuer?: string | undefined;
  /** The claim `aud`; neither set nor asked for when left out. */
  audience?: string | undefined;
  /** Default 1,800,000 ms. */
  lifetimeMs?: number;
  /** By how much the clocks of two machines may differ; default 5,000 ms. */
  toleranceMs?: number;
  clock?: Clock;
}

/** A token for a caller of the API. */
export interface IssuedToken {
  accessToken: string;
  tokenType: 'bearer';
  expiresInSeconds: number;
}

/** The one algorithm, both ways: the header of a token does not choose. */
const ALGORITHM = 'HS256';
const SHORTEST_SECRET = 32;
const LONGEST_TOKEN = 8_192;
const LONGEST_SUBJECT = 64;
const MOST_KNOWN = 1_000;

interface KnownToken {
  subject: string;
  /** In seconds since the epoch. */
  expiresAt: number;
}

/** Makes and checks the tokens of API users: HS256 over a shared secret, with subject, time and expiry. */
export class Tokens {
  private readonly key: KeyObject;
  /** What was found to be valid, so that a caller's token is not verified anew for each request. */
  private readonly known = new Map<string, KnownToken>();
  private readonly settings: Required<Pick<TokenSettings, 'lifetimeMs' | 'toleranceMs' | 'clock'>> & TokenSettings;

  /** Throws `CONFIGURATION` when the secret is too short. */
  constructor(settings: TokenSettings) {
    if (settings.secret.length < SHORTEST_SECRET) {
      throw new ContactError('CONFIGURATION', {
        attempted: 'use the secret key',
        answer: `it has fewer than ${SHORTEST_SECRET} characters`,
        advice: 'Make one with: openssl rand -hex 32',
      });
    }
    this.settings = { lifetimeMs: 1_800_000, toleranceMs: 5_000, clock: systemClock, ...settings };
    this.key = createSecretKey(Buffer.from(settings.secret));
  }

  /** A token for a user. */
  async issue(subject: string): Promise<IssuedToken> {
    const { lifetimeMs, issuer, audience } = this.settings;
    const { SignJWT } = await import('jose');
    const now = this.seconds();
    const expiresInSeconds = Math.floor(lifetimeMs / 1_000);
    const token = new SignJWT({})
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + expiresInSeconds);
    if (issuer !== undefined) token.setIssuer(issuer);
    if (audience !== undefined) token.setAudience(audience);
    return { accessToken: await token.sign(this.key), tokenType: 'bearer', expiresInSeconds };
  }

  /** The user of a token. Rejects with `REFUSED` when it is not one of ours, not valid yet or no longer valid. */
  async verify(token: string): Promise<string> {
    const { issuer, audience, toleranceMs, clock } = this.settings;
    if (token.length > LONGEST_TOKEN) throw refused('it is too long');
    const known = this.known.get(token);
    if (known) {
      if (this.seconds() < known.expiresAt + toleranceMs / 1_000) return known.subject;
      this.known.delete(token);
    }
    const { jwtVerify, errors } = await import('jose');
    const tolerance = toleranceMs / 1_000;
    try {
      const { payload } = await jwtVerify(token, this.key, {
        algorithms: [ALGORITHM],
        requiredClaims: ['sub', 'iat', 'exp'],
        clockTolerance: tolerance,
        currentDate: new Date(clock.now()),
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
      });
      const { sub, iat, exp } = payload;
      if (typeof iat !== 'number' || iat > this.seconds() + tolerance) throw refused('it is from the future');
      if (typeof sub !== 'string' || sub === '' || sub.length > LONGEST_SUBJECT) throw refused('it names no user');
      this.remember(token, { subject: sub, expiresAt: exp ?? 0 });
      return sub;
    } catch (thrown) {
      if (thrown instanceof ContactError) throw thrown;
      if (thrown instanceof errors.JWTExpired) throw refused('it has expired');
      // What exactly is wrong with it is nothing that a forger should learn.
      throw refused('it is not valid');
    }
  }

  private remember(token: string, found: KnownToken): void {
    this.known.set(token, found);
    const [oldest] = this.known.keys();
    if (this.known.size > MOST_KNOWN && oldest !== undefined) this.known.delete(oldest);
  }

  private seconds(): number {
    return Math.floor(this.settings.clock.now() / 1_000);
  }
}

function refused(answer: string): ContactError {
  return new ContactError('REFUSED', {
    attempted: 'accept the token',
    answer,
    reason: 'invalid_token',
    advice: 'Get a new one.',
    status: 401,
    retryable: false,
  });
}
