import { type ApiAnswer, Refusal } from '../api';

/** A refusal of the whole request: a bare object, without `data`. */
export function refusal(status: number, code: string, message: string, details: Record<string, unknown> = {}): Refusal {
  return new Refusal({ status, body: { code, details, message, status: 'error' } });
}

/** The result of one record in an answer. */
export interface RecordResult {
  code: string;
  details: Record<string, unknown>;
  message: string;
  status: 'success' | 'error';
}

/** One record that was refused. */
export function failed(code: string, message: string, details: Record<string, unknown>): RecordResult {
  return { code, details, message, status: 'error' };
}

/** The answer for several records. `failureStatus` is the status when none succeeded, on which the sources disagree. */
export function recordsAnswer(results: RecordResult[], successStatus: number, failureStatus: number): ApiAnswer {
  const failures = results.filter(({ status }) => status === 'error').length;
  const status = failures === 0 ? successStatus : failures === results.length ? failureStatus : 207;
  return { status, body: { data: results } };
}
