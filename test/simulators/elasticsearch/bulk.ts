import { BulkAnswerWriter } from './bulk-answer';
import { parseBulkBody, RequestBody } from './bulk-body';
import { ElasticError } from './errors';
import { type BulkFault, isApplied, itemError, placesOf, statusAnswer } from './faults';
import type { Operations, Outcome } from './operations';
import { type ApiRequest, writeDefaults } from './routes';

/** A bulk answer ready to be sent. */
export interface BulkReply {
  status: number;
  body: string;
  headers: Record<string, string | string[]>;
  /** Whether `X-elastic-product` goes along; a proxy's answer has none. */
  product: boolean;
  /** How many operations the request held. */
  items: number;
}

const WRITER_LIMIT = 100;

/** Handles bulk requests: parses, applies, renders, and does what a fault demands of these steps. */
export class BulkHandler {
  readonly #writers = new Map<string, BulkAnswerWriter>();

  constructor(readonly operations: Operations) {}

  /** @throws ElasticError when the server refuses the request as a whole. */
  handle(request: ApiRequest, defaultIndex: string | undefined, fault: BulkFault | undefined): BulkReply {
    const answer = fault?.answer;
    if (typeof answer !== 'object' || !('status' in answer)) return this.#process(request, defaultIndex, fault);
    const items = this.#tryProcess(request, defaultIndex, fault!);
    const usual = statusAnswer(answer.status);
    const { body } = answer;
    return {
      status: answer.status,
      body: body === undefined ? usual.body : typeof body === 'string' ? body : JSON.stringify(body),
      headers: { ...usual.headers, ...answer.headers },
      product: usual.product,
      items,
    };
  }

  /** A whole-request status hides whatever the request itself would have led to. */
  #tryProcess(request: ApiRequest, defaultIndex: string | undefined, fault: BulkFault): number {
    try {
      return this.#process(request, defaultIndex, fault).items;
    } catch (error) {
      if (error instanceof ElasticError) return 0;
      throw error;
    }
  }

  #process(request: ApiRequest, defaultIndex: string | undefined, fault: BulkFault | undefined): BulkReply {
    const started = performance.now();
    const defaults = writeDefaults(request.parameters);
    if (request.body.length === 0)
      throw new ElasticError(400, { type: 'parse_exception', reason: 'request body is required' });
    const body = new RequestBody(request.body);
    const operations = parseBulkBody(body, defaultIndex, defaults);
    const dry = fault !== undefined && !isApplied(fault);
    const failing = fault?.itemStatus === undefined ? undefined : placesOf(fault.position ?? 'all', operations.length);
    const outcomes = operations.map((operation, place) => {
      if (!failing?.has(place)) return this.operations.apply(operation, body, dry);
      const stored = fault!.itemApplied ?? fault!.itemStatus === 409;
      return fail(this.operations.apply(operation, body, dry || !stored), fault!, operation.id);
    });
    const took = Math.round(performance.now() - started);
    return {
      status: 200,
      body: this.#writer(request.parameters.get('filter_path')).write(took, miscount(outcomes, fault)),
      headers: {},
      product: true,
      items: operations.length,
    };
  }

  #writer(filterPath: string | null): BulkAnswerWriter {
    const key = filterPath ?? '';
    let writer = this.#writers.get(key);
    if (!writer) {
      if (this.#writers.size >= WRITER_LIMIT) this.#writers.clear();
      writer = new BulkAnswerWriter(filterPath ?? undefined);
      this.#writers.set(key, writer);
    }
    return writer;
  }
}

function fail(outcome: Outcome, fault: BulkFault, id: string | undefined): Outcome {
  const status = fault.itemStatus!;
  const shownId = outcome.id ?? id ?? null;
  const error = fault.itemError ?? itemError(status, outcome.index, shownId);
  return { ...outcome, id: shownId, status, result: undefined, error };
}

function miscount(outcomes: Outcome[], fault: BulkFault | undefined): Outcome[] {
  if (fault?.answer !== 'fewer-items' && fault?.answer !== 'more-items') return outcomes;
  const places = placesOf(fault.itemStatus === undefined ? (fault.position ?? 'last') : 'last', outcomes.length);
  if (fault.answer === 'fewer-items') return outcomes.filter((_, place) => !places.has(place));
  return outcomes.flatMap((outcome, place) => (places.has(place) ? [outcome, outcome] : [outcome]));
}
