import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import { type ApiAnswer, errorAnswer, goodAnswer, requestIdOf } from '../calls/api';
import type { Login } from '../calls/login';
import type { Tokens } from '../calls/tokens';
import { ContactError } from '../core/errors';
import { headerOf, requestOf, withAnswer } from './api';

/** What a {@link CallGate} is told. */
export interface CallGateOptions {
  login: Login;
  tokens: Tokens;
  /** Without a database there are no users. */
  hasUsers: boolean;
  /** The header in which a proxy puts the address of the caller. */
  addressHeader: string | undefined;
}

/**
 * Lets those into the call API who have a token, and gives tokens to those who have a password. All others are refused
 * with an error whose `reason` says why.
 */
export class CallGate {
  constructor(private readonly options: CallGateOptions) {}

  /** Takes the name and the password to a token. */
  async issue(message: NodeMessageInFlow, requestId: string): Promise<NodeMessage> {
    const { login, tokens, hasUsers, addressHeader } = this.options;
    const { payload } = message;
    const { username, password } = (payload ?? {}) as { username?: unknown; password?: unknown };
    if (typeof username !== 'string' || typeof password !== 'string' || username === '' || password === '') {
      const answer = 'the form fields username and password are not there';
      throw new ContactError('INVALID_INPUT', { attempted: 'log in', answer, reason: 'invalid_form' });
    }
    if (!hasUsers) {
      const advice = 'There are no users while DISABLE_DB is set.';
      const facts = { attempted: 'log in', answer: 'Database disabled', reason: 'database_disabled', advice };
      throw new ContactError('CONFIGURATION', facts);
    }
    const request = requestOf(message);
    const forwarded = addressHeader === undefined ? undefined : headerOf(request, addressHeader)?.split(',')[0]?.trim();
    await login.enter(username, password, forwarded || request.ip || 'unknown');
    const { accessToken, tokenType, expiresInSeconds } = await tokens.issue(username);
    const body = { access_token: accessToken, token_type: tokenType, expires_in: expiresInSeconds };
    const answer = goodAnswer(body, requestId, { Pragma: 'no-cache' });
    return withAnswer(message, answer, { user: { name: username } });
  }

  /** Lets the message pass with the name of its user. */
  async require(message: NodeMessageInFlow, requestId: string): Promise<NodeMessage> {
    const token = /^Bearer +(\S+)$/i.exec(headerOf(requestOf(message), 'authorization') ?? '')?.[1];
    if (token === undefined) {
      const facts = { attempted: 'accept the request', answer: 'it has no bearer token', reason: 'invalid_token' };
      throw new ContactError('REFUSED', { ...facts, retryable: false, advice: 'Get one from the token endpoint.' });
    }
    const name = await this.options.tokens.verify(token);
    const before = (message as { headers?: Record<string, string> }).headers ?? {};
    // The secret has done its work: what follows must not log it.
    const user = { user: { name }, correlationId: requestId, headers: { ...before, 'X-Request-ID': requestId } };
    return Object.assign(message, user) as NodeMessage;
  }
}

/** What a request is answered while the node is not configured. */
export function unready(error: ContactError): ContactError {
  const { summary } = error;
  return new ContactError('CONFIGURATION', {
    attempted: 'answer the request',
    answer: summary,
    reason: 'not_configured',
  });
}

/** What a body is answered that is no JSON; `requestIdGiven` is the id that the caller has given to the request. */
export function badJson(requestIdGiven: unknown): ApiAnswer {
  const facts = { attempted: 'read the request', answer: 'its body is no JSON', reason: 'invalid_json' };
  return errorAnswer(new ContactError('INVALID_INPUT', facts), requestIdOf(requestIdGiven));
}
