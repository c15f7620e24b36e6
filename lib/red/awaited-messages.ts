import type { NodeMessage } from 'node-red';
import { DeliverySource } from '../core/deliveries';
import { ContactError } from '../core/errors';

interface Waiting {
  resolve(): void;
  reject(error: ContactError): void;
}

/** Messages for a flow that somebody waits for until the flow has settled them. */
export class AwaitedMessages {
  private readonly deliveries: DeliverySource<Waiting>;
  private isClosed = false;

  /** `name` is the source and `attempted` what fails when a message cannot be settled, both for errors. */
  constructor(
    name: string,
    private readonly attempted: string,
  ) {
    this.deliveries = new DeliverySource<Waiting>({
      name,
      settle: ({ resolve, reject }, outcome) => {
        // What was put aside would only fail again: it is done, and the flow has the reason.
        if (outcome.kind !== 'retry') resolve();
        else reject(outcome.error ?? new ContactError('BUSY', { attempted }));
      },
    });
  }

  /**
   * Sends a message with a delivery. Resolves when the flow has settled it; rejects when it is to come again, and with
   * `CLOSED` when nobody waits any longer.
   */
  send(message: NodeMessage, send: (message: NodeMessage) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw this.closedError();
      const delivery = this.deliveries.open({ resolve, reject });
      send(Object.assign(message, { delivery }));
    });
  }

  /** Nobody waits any longer: what is open rejects with `CLOSED`. */
  close(): void {
    this.isClosed = true;
    const error = this.closedError();
    for (const { reject } of this.deliveries.close()) reject(error);
  }

  private closedError(): ContactError {
    return new ContactError('CLOSED', { attempted: this.attempted });
  }
}
