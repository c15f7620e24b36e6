import type { TraceContext } from '../core/trace';

/**
 * The document with the trace it belongs to, in the fields of the Elastic Common Schema (`trace.id`, `span.id`), unless
 * it has others in there or is no object.
 */
export function inTrace(document: unknown, { traceId, spanId }: TraceContext): unknown {
  const isPlain = typeof document === 'object' && document !== null && !Buffer.isBuffer(document);
  if (!isPlain || 'trace' in document || 'trace.id' in document) return document;
  return { ...document, trace: { id: traceId }, span: { id: spanId } };
}
