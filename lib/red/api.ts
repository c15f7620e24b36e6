import type { NodeMessage, NodeMessageInFlow } from 'node-red';
import type { ApiAnswer } from '../calls/api';

/** What a node reads of a request that came in through an `http in` node. */
export interface HttpRequestPart {
  headers?: Record<string, unknown>;
  params?: Record<string, unknown>;
  query?: Record<string, unknown>;
  ip?: string;
}

/** The request that a message came with, or an empty one. */
export function requestOf(message: NodeMessageInFlow): HttpRequestPart {
  return (message as { req?: HttpRequestPart }).req ?? {};
}

/** A header of the request, if it is there once. */
export function headerOf({ headers }: HttpRequestPart, name: string): string | undefined {
  const value = headers?.[name.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}

/** The message with an answer on it, as an `http response` node wants it; headers that were set before stay. */
export function withAnswer(
  message: NodeMessageInFlow,
  { statusCode, headers, payload }: ApiAnswer,
  more: Record<string, unknown> = {},
): NodeMessage {
  const before = (message as { headers?: Record<string, string> }).headers ?? {};
  return Object.assign(message, { statusCode, headers: { ...before, ...headers }, payload, ...more }) as NodeMessage;
}

/** The id of a call: `msg.callId`, a parameter of the path, or in the payload. */
export function callIdOf(message: NodeMessageInFlow): string | undefined {
  const { callId, payload } = message as { callId?: unknown; payload?: unknown };
  const { call_id: inPath } = requestOf(message).params ?? {};
  const inPayload =
    typeof payload === 'object' && payload !== null ? (payload as { call_id?: unknown }).call_id : payload;
  const found = callId ?? inPath ?? inPayload;
  return typeof found === 'string' ? found.trim() : undefined;
}
