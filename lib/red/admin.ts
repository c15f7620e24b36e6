import type { Request } from 'express';
import { answer, firstTime, type HttpMethod } from './http';
import type { Red } from './node';

/** A route for the editor. */
export interface AdminRoute {
  method: HttpMethod;
  /** Begins with `/contact-center/`. */
  path: `/contact-center/${string}`;
  /** Who may use it: `<type>.read` or `<type>.write`. */
  permission: `${string}.read` | `${string}.write`;
  /** Gives the answer, which must be plain JSON. */
  handler: (request: Request) => Promise<unknown> | unknown;
}

/**
 * Registers a route for the editor, once for each runtime however many node modules ask for it. An error that the
 * handler throws is an answer as well: `{ok: false, code, message}` with HTTP 200 when it tells why something did not
 * work, and with 500 when it is a defect.
 */
export function adminRoute(RED: Red, route: AdminRoute): void {
  if (!firstTime(RED.httpAdmin, route.method, route.path)) return;
  RED.httpAdmin[route.method](route.path, RED.auth.needsPermission(route.permission), (request, response) => {
    answer(
      async () => {
        response.json(await route.handler(request));
      },
      response,
      (error) => (error.code === 'INTERNAL' ? 500 : 200),
    );
  });
}
