import type { DeliveryOutcome } from '../core/deliveries';
import { ContactError, ERROR_CATALOGUE, type ErrorCode } from '../core/errors';

/** What contact-settle may be told to do; `automatic` goes by `msg.settle`, and then by `msg.error`. */
export const SETTLE_ACTIONS = ['automatic', 'acknowledge', 'retry', 'dead-letter'] as const;

/** The longest wait before the next attempt, in seconds: a week, as in the dialog of the node. */
const LONGEST_DELAY_SECONDS = 604_800;

/** How the node is set. */
export interface SettlementSettings {
  action: (typeof SETTLE_ACTIONS)[number];
  /** Before the next attempt; the waits of the source when left out. */
  delaySeconds: number | undefined;
  /** Why a message is put aside, when it does not say so itself. */
  reason: string | undefined;
}

/**
 * How the delivery of a message is to be settled. `msg.settle` is one of the words, or `{action, delaySeconds?,
 * reason?}`; it counts when the node is set to `automatic`. Without it a message with an error is retried or put
 * aside, by whether the error may pass, and any other is acknowledged. Throws `INVALID_INPUT`.
 */
export function readSettlement(message: object, settings: SettlementSettings): DeliveryOutcome {
  const { settle, error } = message as { settle?: unknown; error?: unknown };
  const asked = settings.action === 'automatic' ? readAsked(settle) : {};
  const action = asked.action ?? (settings.action === 'automatic' ? byError(error) : settings.action);
  if (action === 'acknowledge') return { kind: 'acknowledge' };
  const reason = errorOf(error, asked.reason ?? settings.reason, action === 'retry');
  if (action === 'dead-letter') return { kind: 'dead-letter', error: reason };
  const delaySeconds = asked.delaySeconds ?? settings.delaySeconds;
  return { kind: 'retry', error: reason, ...(delaySeconds === undefined ? {} : { delayMs: delaySeconds * 1_000 }) };
}

type Action = Exclude<SettlementSettings['action'], 'automatic'>;

interface Asked {
  action?: Action;
  delaySeconds?: number;
  reason?: string;
}

function readAsked(settle: unknown): Asked {
  if (settle === undefined || settle === null) return {};
  const given = typeof settle === 'object' ? (settle as Record<string, unknown>) : { action: settle };
  const { action, delaySeconds, reason } = given;
  if (!SETTLE_ACTIONS.slice(1).includes(action as Action)) {
    throw invalid('msg.settle must be acknowledge, retry or dead-letter');
  }
  const seconds = delaySeconds === undefined ? undefined : Number(delaySeconds);
  if (seconds !== undefined && !(seconds >= 0 && seconds <= LONGEST_DELAY_SECONDS)) {
    throw invalid(`msg.settle.delaySeconds must be a number from 0 to ${LONGEST_DELAY_SECONDS}`);
  }
  return {
    action: action as Action,
    ...(seconds === undefined ? {} : { delaySeconds: seconds }),
    ...(typeof reason === 'string' ? { reason } : {}),
  };
}

/**
 * What a failure calls for. An error that nobody knows may pass: the source counts the attempts and puts the message
 * aside in the end.
 */
function byError(error: unknown): Action {
  if (error === undefined || error === null) return 'acknowledge';
  const { retryable, code } = error as { retryable?: unknown; code?: unknown };
  const mayPass = retryable ?? (isKnown(code) ? ERROR_CATALOGUE[code].retryable : true);
  return mayPass === false ? 'dead-letter' : 'retry';
}

function errorOf(error: unknown, reason: string | undefined, retryable: boolean): ContactError {
  const { code, message, status } = (error ?? {}) as { code?: unknown; message?: unknown; status?: unknown };
  return new ContactError(isKnown(code) ? code : 'REJECTED', {
    attempted: 'handle the message',
    answer: reason ?? (typeof message === 'string' ? message : 'the flow has given no reason'),
    advice: 'Remove the reason, then replay the dead-letter queue.',
    retryable,
    ...(typeof status === 'number' ? { status } : {}),
  });
}

function isKnown(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CATALOGUE, code);
}

function invalid(answer: string): ContactError {
  return new ContactError('INVALID_INPUT', { attempted: 'settle the delivery', answer });
}
