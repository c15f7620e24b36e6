import { type DeliveryOutcome, settleDelivery } from '../core/deliveries';
import type { ContactError } from '../core/errors';
import type { Done } from './input';

/**
 * A message at the input of a sink that may hold several documents: it is done, and its delivery is settled, when the
 * last of them has ended.
 */
export class IntakeMessage {
  private failure: ContactError | undefined;
  private open: number;

  /** `settle` says whether the delivery that the message carries is settled as well. */
  constructor(
    readonly message: object,
    readonly documents: number,
    private readonly settle: boolean,
    private readonly done: Done,
  ) {
    this.open = documents;
    if (documents === 0) this.finish();
  }

  /** One of the documents has ended. A failure that may pass counts more than one that stays. */
  ended(failure?: ContactError): void {
    if (this.open === 0) return;
    if (failure && (!this.failure || (failure.retryable && !this.failure.retryable))) this.failure = failure;
    this.open -= 1;
    if (this.open === 0) this.finish();
  }

  private finish(): void {
    const { failure } = this;
    if (this.settle) settleDelivery(this.message, outcomeOf(failure));
    this.done(failure);
  }
}

/** What was not taken in for want of room or time can be had again; what the remote system refused cannot. */
function outcomeOf(error: ContactError | undefined): DeliveryOutcome {
  if (!error) return { kind: 'acknowledge' };
  return error.retryable ? { kind: 'retry', error } : { kind: 'dead-letter', error };
}
