import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Callbacks } from '../../../lib/calls/callbacks';
import { until } from '../until';
import { someCall } from './stores';

describe('callbacks', () => {
  let server: Server;
  let url: string;
  let posts: number;
  let callbacks: Callbacks;

  beforeEach(async () => {
    posts = 0;
    server = createServer((_request, response) => {
      posts += 1;
      response.writeHead(429, { 'Retry-After': '600' }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    callbacks = new Callbacks({ url });
  });

  afterEach(async () => {
    await callbacks.close(0);
    server.closeAllConnections();
    server.close();
  });

  it('wait as long as somebody asks who is sent too many, which is no failure of theirs', async () => {
    for (let number = 0; number < 12; number += 1) callbacks.take({ call: someCall(), transitions: [] });
    await until(() => posts === 12 && callbacks.queue.snapshot().inFlight === 0);
    assert.equal(callbacks.queue.state.error?.retryAfterMs, 600_000);
    assert.equal(callbacks.queue.breakerState, 'closed');
    assert.equal(callbacks.queue.snapshot().queued, 12);
  });
});
