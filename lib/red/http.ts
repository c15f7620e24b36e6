import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { ApiAnswer } from '../calls/api';
import { type ContactError, toContactError } from '../core/errors';
import type { Red } from './node';

/** The HTTP methods that the pack uses. */
export type HttpMethod = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Answers a request, or calls `next` when no running node is there to answer it. */
export type HttpHandler = (request: Request, response: Response, next: NextFunction) => Promise<void> | void;

type Application = Red['httpNode'];

const registered = new WeakMap<Application, Set<string>>();

/**
 * Registers a public route, once for each runtime however often it is asked for. To be called when the node module is
 * loaded: the route stays over redeploys, so the handler looks up the nodes that are running and calls `next` when
 * none of them answers; http-in nodes of the user on the same path then still work. The middleware that the operator
 * has set for http-in nodes comes first here as well.
 */
export function httpRoute(RED: Red, method: HttpMethod, path: string, handler: HttpHandler): void {
  if (!firstTime(RED.httpNode, method, path)) return;
  const middleware = [(RED.settings.httpNodeMiddleware ?? []) as RequestHandler | RequestHandler[]].flat();
  RED.httpNode[method](path, ...middleware, (request, response, next) => {
    answer(
      () => handler(request, response, next),
      response,
      (error) => statusOf(error),
    );
  });
}

/** More than a request of ours ever holds; what is larger is left to the node that reads bodies otherwise. */
const LARGEST_BODY_BYTES = 1_000_000;

/**
 * Gives the paths that `isOurs` names an answer of their own to a body that is no JSON, once for each runtime: an
 * `http in` node would answer 500 and a bare text, and the editor, whose parser comes first when both have the same
 * root, a page with a stack. To be called when the node module is loaded. `answerOf` is given the header
 * `X-Request-ID`.
 */
export function answerBadJson(
  RED: Red,
  isOurs: (path: string) => boolean,
  answerOf: (requestId: unknown) => ApiAnswer,
): void {
  const refuse = (request: Request, response: Response) => {
    const { statusCode, headers, payload } = answerOf(request.get('x-request-id'));
    response.status(statusCode).set(headers).json(payload);
  };
  // The editor's parser belongs to the application in which that of the nodes is mounted.
  const { parent } = (RED.httpAdmin ?? {}) as { parent?: Application };
  if (parent && firstTime(parent, 'post', 'bodies that are no JSON')) {
    // Express knows by the number of parameters that this takes errors.
    parent.use((error: { type?: unknown }, request: Request, response: Response, next: NextFunction) => {
      if (error.type === 'entity.parse.failed' && isOurs(request.path)) refuse(request, response);
      else next(error);
    });
  }
  if (!firstTime(RED.httpNode, 'post', 'bodies that are no JSON')) return;
  RED.httpNode.use((request, response, next) => {
    if (isOurs(request.path) && isSmallJson(request)) readJson(request, next, () => refuse(request, response));
    else next();
  });
}

/** Whether the body is JSON of moderate size that nobody has read yet. */
function isSmallJson(request: Request): boolean {
  const length = Number(request.get('content-length') ?? Number.NaN);
  const isPlain = request.get('content-encoding') === undefined && length <= LARGEST_BODY_BYTES;
  const isRead = (request as { _body?: boolean })._body === true || request.readableEnded;
  return isPlain && !isRead && request.is('json') === 'json';
}

function readJson(request: Request, next: NextFunction, refuse: () => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('error', next);
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8');
    try {
      request.body = text === '' ? {} : JSON.parse(text);
    } catch {
      refuse();
      return;
    }
    // By this the parsers that come later know that there is nothing left to read.
    (request as { _body?: boolean })._body = true;
    next();
  });
}

/** Whether this route is not yet in the application. Remembers it. */
export function firstTime(application: Application | undefined, method: HttpMethod, path: string): boolean {
  // An embedded runtime may have no application of its own.
  if (!application) return false;
  const routes = registered.get(application) ?? new Set();
  registered.set(application, routes);
  const key = `${method} ${path}`;
  if (routes.has(key)) return false;
  routes.add(key);
  return true;
}

/** Runs a handler; what it throws becomes a JSON answer `{ok: false, code, message}`. */
export function answer(
  run: () => Promise<void> | void,
  response: Response,
  status: (error: ContactError) => number,
): void {
  new Promise<void>((resolve) => resolve(run())).catch((thrown: unknown) => {
    const error = toContactError(thrown, 'answer the request');
    if (response.headersSent) response.destroy();
    else response.status(status(error)).json({ ok: false, code: error.code, message: error.message });
  });
}

function statusOf(error: ContactError): number {
  if (error.code === 'INVALID_INPUT' || error.code === 'CONFIGURATION') return 400;
  if (error.code === 'NOT_FOUND') return 404;
  return error.code === 'INTERNAL' ? 500 : 503;
}
