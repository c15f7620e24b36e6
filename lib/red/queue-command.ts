import { ContactError } from '../core/errors';

/** What a message at the input of a node that reads a queue asks for. */
export type QueueCommand =
  | { name: 'pause' }
  | { name: 'resume' }
  /** Bring messages back from another queue; the dead-letter queue when none is named. */
  | { name: 'replay'; from?: string; limit?: number; ratePerSecond?: number };

/**
 * Reads a command: a word in `msg.payload` or `msg.topic`, or an object `{command, from?, limit?, ratePerSecond?}` in
 * `msg.payload`. Throws `INVALID_INPUT`.
 */
export function readCommand({ payload, topic }: { payload?: unknown; topic?: unknown }): QueueCommand {
  const given = typeof payload === 'object' && payload !== null ? (payload as Record<string, unknown>) : {};
  const word = [given['command'], payload, topic].find((each) => typeof each === 'string' && each !== '');
  if (word === 'pause' || word === 'resume') return { name: word };
  if (word !== 'replay') throw invalid('the command must be pause, resume or replay');
  const { from, limit, ratePerSecond } = given;
  if (from !== undefined && (typeof from !== 'string' || from === '')) throw invalid('from must name a queue');
  return {
    name: 'replay',
    ...(from === undefined ? {} : { from }),
    ...(limit === undefined ? {} : { limit: positive(limit, 'limit') }),
    ...(ratePerSecond === undefined ? {} : { ratePerSecond: positive(ratePerSecond, 'ratePerSecond') }),
  };
}

function positive(value: unknown, name: string): number {
  const found = Number(value);
  if (!Number.isFinite(found) || found <= 0) throw invalid(`${name} must be a number above 0`);
  return found;
}

function invalid(answer: string): ContactError {
  return new ContactError('INVALID_INPUT', { attempted: 'follow the command', answer });
}
