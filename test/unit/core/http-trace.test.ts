import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { HttpClient } from '../../../lib/core/http';
import { carrierOf, contextOf, type SpanRecord, tracing } from '../../../lib/core/trace';

for (const transport of ['axios', 'undici'] as const) {
  describe(`HTTP calls over ${transport}, in a trace`, () => {
    let server: Server;
    let http: HttpClient;
    let headers: IncomingHttpHeaders;
    let spans: SpanRecord[];
    let stop: () => void;
    let url: string;

    beforeEach(async () => {
      server = createServer((request, response) => {
        headers = request.headers;
        response.writeHead(Number(request.headers['x-status'] ?? 200)).end();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as { port: number }).port}/cases/7`;
      http = new HttpClient({ transport });
      spans = [];
      stop = tracing.listen((span) => spans.push(span));
    });
    afterEach(async () => {
      stop();
      http.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });

    it('carry it on, and are spans in it', async () => {
      const node = tracing.start('axios', { parent: null });
      const query = { token: 'hunter2hunter2' };
      await tracing.run(node.context, () => http.send({ method: 'GET', url, query, what: 'read a Case' }));
      const [call] = spans as [SpanRecord];
      assert.deepEqual([call.name, call.kind, call.parentSpanId], ['read a Case', 'client', node.context.spanId]);
      assert.deepEqual(call.attributes, {
        'http.request.method': 'GET',
        'server.address': '127.0.0.1',
        'server.port': Number(new URL(url).port),
        'url.path': '/cases/7',
        'http.response.status_code': 200,
      });
      assert.deepEqual(contextOf(headers), call.context);
      assert.equal(headers['traceparent'], carrierOf(call.context).traceparent);
    });

    it('tell that they have failed', async () => {
      await http.send({ method: 'GET', url, headers: { 'x-status': '503' } });
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await assert.rejects(http.send({ method: 'GET', url }));
      const [answered, away] = spans as [SpanRecord, SpanRecord];
      assert.equal(answered.error, 'HTTP 503');
      assert.match(away.error ?? '', /Could not GET \/cases\/7/);
    });

    it('carry nothing while no traces are recorded', async () => {
      stop();
      await http.send({ method: 'GET', url });
      assert.equal(headers['traceparent'], undefined);
      assert.deepEqual(spans, []);
    });
  });
}
