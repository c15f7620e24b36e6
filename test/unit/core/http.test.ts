import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ContactError } from '../../../lib/core/errors';
import { HttpClient, type HttpClientOptions, type HttpRequest } from '../../../lib/core/http';

const kinds: HttpClientOptions[] = [{ transport: 'axios' }, { transport: 'undici' }];

for (const options of kinds) {
  describe(`http client over ${options.transport}`, () => {
    let client: HttpClient;
    let server: Server;
    let url: string;
    let handle: (request: IncomingMessage, response: ServerResponse, body: string) => void;
    let seen: {
      method: string | undefined;
      url: string | undefined;
      headers: IncomingMessage['headers'];
      body: string;
    }[];

    beforeEach(async () => {
      client = new HttpClient(options);
      seen = [];
      handle = (_request, response) => response.end('{}');
      server = createServer(async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
        const body = Buffer.concat(chunks).toString('utf8');
        seen.push({ method: request.method, url: request.url, headers: request.headers, body });
        handle(request, response, body);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });

    afterEach(() => {
      client.close();
      server.closeAllConnections();
      server.close();
    });

    const failure = async (request: Partial<HttpRequest>): Promise<ContactError> => {
      const thrown = await client.send({ method: 'POST', url, body: { a: 1 }, ...request }).then(
        (answer) => assert.fail(`it answered ${answer.status}`),
        (error: unknown) => error,
      );
      assert.ok(thrown instanceof ContactError);
      return thrown;
    };

    it('sends an object as JSON and gives back status, headers in lower case and text', async () => {
      handle = (_request, response) => response.writeHead(418, { 'X-Answer': 'Yes' }).end('Grüße');
      const answer = await client.send({ method: 'PATCH', url: `${url}/a/b`, body: { text: 'ä' } });
      assert.deepEqual([answer.status, answer.headers['x-answer'], answer.text], [418, 'Yes', 'Grüße']);
      const [request] = seen;
      assert.deepEqual([request?.method, request?.url, request?.body], ['PATCH', '/a/b', '{"text":"ä"}']);
      assert.equal(request?.headers['content-type'], 'application/json');
      assert.match(request?.headers['user-agent'] ?? '', /^node-red-contact-center\//);
    });

    it('sends a text and bytes as they are, and headers over its own', async () => {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: 'Basic eA==' };
      await client.send({ method: 'POST', url, body: 'a=b', headers });
      await client.send({ method: 'PUT', url, body: Buffer.from('bytes') });
      assert.deepEqual(
        seen.map(({ body }) => body),
        ['a=b', 'bytes'],
      );
      assert.equal(seen[0]?.headers['content-type'], headers['Content-Type']);
      assert.equal(seen[1]?.headers['content-type'], undefined);
      assert.equal(seen[0]?.headers.authorization, headers.Authorization);
    });

    it('sends each header once, whatever the case of its name', async () => {
      await client.send({ method: 'POST', url, headers: { ACCEPT: 'text/plain', 'User-Agent': 'someone' } });
      const { accept, 'user-agent': agent } = seen[0]?.headers ?? {};
      assert.deepEqual([accept, agent], ['text/plain', 'someone']);
    });

    it('leaves out the mark before a text, which JSON must not have', async () => {
      handle = (_request, response) => response.end('\ufeff{"a":1}');
      assert.equal((await client.send({ method: 'GET', url })).text, '{"a":1}');
    });

    it('gives an answer as bytes to who asks for them', async () => {
      const bytes = Buffer.from([0, 255, 128, 10]);
      handle = (_request, response) => response.writeHead(200, { 'Content-Type': 'image/png' }).end(bytes);
      const answer = await client.sendForBytes({ method: 'GET', url });
      assert.deepEqual([answer.status, answer.headers['content-type'], answer.bytes], [200, 'image/png', bytes]);
    });

    it('puts the query behind the address and leaves out what is undefined', async () => {
      await client.send({ method: 'GET', url: `${url}/x`, query: { a: 'b c', n: 1, none: undefined, yes: true } });
      assert.deepEqual(
        [...new URL(seen[0]?.url ?? '', url).searchParams],
        [
          ['a', 'b c'],
          ['n', '1'],
          ['yes', 'true'],
        ],
      );
    });

    it('follows no redirect and takes an answer without a body', async () => {
      handle = (_request, response) => response.writeHead(302, { Location: 'http://127.0.0.1:1/' }).end();
      const answer = await client.send({ method: 'GET', url });
      assert.deepEqual([answer.status, answer.text], [302, '']);
    });

    it('answers an answer to HEAD', async () => {
      assert.equal((await client.send({ method: 'HEAD', url })).status, 200);
    });

    it('says UNREACHABLE when nobody listens: nothing has been sent', async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      assert.equal((await failure({})).code, 'UNREACHABLE');
    });

    it('says OUTCOME_UNKNOWN when the connection breaks before the answer, or in the middle of it', async () => {
      handle = (request) => request.socket.resetAndDestroy();
      assert.equal((await failure({})).code, 'OUTCOME_UNKNOWN');
      handle = (_request, response) => {
        response.writeHead(200, { 'Content-Length': '100' });
        response.write('half', () => response.destroy());
      };
      assert.equal((await failure({})).code, 'OUTCOME_UNKNOWN');
    });

    it('says OUTCOME_UNKNOWN when there is no whole answer in time', async () => {
      handle = (_request, response) => response.writeHead(200).write('half');
      const error = await failure({ timeoutMs: 50 });
      assert.equal(error.code, 'OUTCOME_UNKNOWN');
      assert.match(error.message, /no whole answer within 0.05 s/);
    });

    it('says CLOSED when the caller gives up, before it is sent and after', async () => {
      const abort = new AbortController();
      handle = () => abort.abort();
      assert.equal((await failure({ signal: abort.signal })).code, 'CLOSED');
      assert.equal((await failure({ signal: abort.signal })).code, 'CLOSED');
      assert.equal(seen.length, 1);
    });

    it('gives up in time also what still waits for a connection, and does not send it later', async () => {
      const narrow = new HttpClient({ ...options, connections: 1 });
      let release = () => {};
      const arrived = new Promise<void>((resolve) => {
        handle = (_request, response) => {
          release = () => response.end('{}');
          resolve();
        };
      });
      const first = narrow.send({ method: 'GET', url: `${url}/first` });
      await arrived;
      const second = await narrow
        .send({ method: 'GET', url: `${url}/second`, timeoutMs: 50 })
        .catch((thrown) => thrown);
      assert.ok(second instanceof ContactError, 'the second request ended before the first');
      if (options.transport === 'undici') assert.equal(second.code, 'UNREACHABLE', 'nothing has been sent');
      release();
      assert.equal((await first).status, 200);
      handle = (_request, response) => response.end('{}');
      await narrow.send({ method: 'GET', url: `${url}/third` });
      assert.deepEqual(
        seen.map((request) => request.url),
        ['/first', '/third'],
      );
      narrow.close();
    });

    it('keeps its connections open', async () => {
      const ports = new Set<number | undefined>();
      server.on('request', (request: IncomingMessage) => ports.add(request.socket.remotePort));
      for (let n = 0; n < 5; n += 1) await client.send({ method: 'POST', url, body: { n } });
      assert.ok(ports.size <= 2, `${ports.size} connections`);
    });

    it('never tells the secret of a header in an error', async () => {
      handle = (request) => request.socket.resetAndDestroy();
      const error = await failure({ headers: { Authorization: 'Bearer the-secret-token' } });
      assert.doesNotMatch(`${error.message} ${error.stack} ${JSON.stringify(error)}`, /the-secret-token/);
    });
  });
}

describe('http client with a proxy in the environment', () => {
  it('goes axios’ own way, which knows proxies', async () => {
    const seen: string[] = [];
    const proxy = createServer((request, response) => {
      seen.push(request.url ?? '');
      response.end('through the proxy');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const before = process.env['http_proxy'];
    process.env['http_proxy'] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const client = new HttpClient({ transport: 'undici' });
    try {
      const answer = await client.send({ method: 'GET', url: 'http://host.invalid/path' });
      assert.equal(answer.text, 'through the proxy');
      assert.deepEqual(seen, ['http://host.invalid/path']);
    } finally {
      if (before === undefined) delete process.env['http_proxy'];
      else process.env['http_proxy'] = before;
      client.close();
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});
