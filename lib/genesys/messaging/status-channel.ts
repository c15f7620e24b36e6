import { createHash } from 'node:crypto';
import type { StatusEvent } from './record';

/** Where changes of status are told to others. */
export interface StatusChannel {
  /**
   * Resolves when the event is safe with whoever takes it from here; one that nobody listens for is. It may be
   * published again later, with the same id. Rejects only with `CLOSED`.
   */
  publish(event: StatusEvent): Promise<void>;
}

/** Tells an event from all others; the same for each time it is published. */
export function statusEventId({ tenantId, messageId, status, timestamp }: StatusEvent): string {
  const which = JSON.stringify([tenantId, messageId, status, timestamp]);
  return createHash('sha256').update(which).digest('base64url').slice(0, 22);
}

/** The routing key of an event. */
export function statusRoutingKey({ status }: StatusEvent): string {
  return `message.status.${status}`;
}
