/** A remote system that the business events speak of. */
export type BusinessApi = 'cody' | 'zoho';

/** Something that counts for the business, told where it happens and at once. Texts are safe to show. */
export type BusinessEvent =
  /** A call of an API has ended. */
  | { kind: 'api-call'; api: BusinessApi; what: string; tookMs: number; isSuccess: boolean; bytes: number }
  /** A new access token was asked for. */
  | { kind: 'token-refresh'; api: BusinessApi; tookMs: number; isSuccess: boolean }
  /** An API has said that a call was one too many. */
  | { kind: 'rate-limit'; api: BusinessApi; retryAfterMs: number | undefined }
  /** The list of conversations was read; what was done about them since the poll before. */
  | { kind: 'poll'; tookMs: number; found: number; processed: number; skipped: number; errors: number }
  /** A conversation has come to its Case. */
  | {
      kind: 'conversation';
      conversationId: string;
      caseId: string;
      action: 'created' | 'updated' | 'unchanged';
      tookMs: number;
      messages: number;
      characters: number;
    };

/**
 * Whoever wants to know of the business. While nobody listens it costs nothing, because whoever has something to tell
 * asks first: `if (businessEvents.isOn) businessEvents.tell(…)`.
 */
class BusinessEvents {
  /** Whether anybody listens. */
  isOn = false;
  private readonly listeners = new Set<(event: BusinessEvent) => void>();

  /** Calls `listener`, which must not throw, with each event. Gives back the function that ends this. */
  listen(listener: (event: BusinessEvent) => void): () => void {
    this.listeners.add(listener);
    this.isOn = true;
    return () => {
      this.listeners.delete(listener);
      this.isOn = this.listeners.size > 0;
    };
  }

  /** Tells everybody who listens. */
  tell(event: BusinessEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

/** The business events of this process. */
export const businessEvents = new BusinessEvents();
