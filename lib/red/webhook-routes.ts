import type { Request, Response } from 'express';
import type { WebhookReceiver } from '../genesys/messaging/receiver';
import { httpRoute } from './http';
import type { Red } from './node';
import { readRawBody } from './raw-body';

type Receiver = Pick<WebhookReceiver, 'knows' | 'receive'>;

const LARGEST_BODY_BYTES = 1_000_000;

/** The receivers that are there, by the last part of their address. */
const receivers = new Map<string, Set<Receiver>>();

/** Registers the addresses of the webhook. To be called when the node module is loaded. */
export function webhookRoutes(RED: Red): void {
  for (const route of ['/genesys/webhook', '/genesys/webhook/:path']) {
    httpRoute(RED, 'post', route, async (request, response, next) => {
      const { path = '' } = request.params as { path?: string };
      const listening = [...(receivers.get(path) ?? [])];
      if (listening.length === 0) next();
      else await answer(request, response, listening);
    });
  }
}

/** Lets a receiver have what is posted to this address. Gives back the function that ends this. */
export function listenTo(path: string, receiver: Receiver): () => void {
  const listening = receivers.get(path) ?? new Set();
  receivers.set(path, listening.add(receiver));
  return () => {
    listening.delete(receiver);
  };
}

async function answer(request: Request, response: Response, listening: readonly Receiver[]): Promise<void> {
  const body = await readRawBody(request, LARGEST_BODY_BYTES);
  const signature = request.get('x-hub-signature-256');
  // Several nodes may have one address, each with the secret of its integration.
  const receiver = listening.find((each) => each.knows(body, signature)) ?? listening[0];
  const result = await receiver?.receive(body, signature);
  const { status = 503, outcome = 'not-now' } = result ?? {};
  response.status(status).set('Cache-Control', 'no-store').json({ outcome });
}
