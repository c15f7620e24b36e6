import type { NextFunction, Request, RequestHandler, Response } from 'express';
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
