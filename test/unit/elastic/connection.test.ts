import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { ContactError } from '../../../lib/core/errors';
import type { Verdict } from '../../../lib/core/verdicts';
import { ElasticConnection, type ElasticOptions, readAuth } from '../../../lib/elastic/connection';
import { type Certificate, selfSignedCertificate } from '../../simulators/certificate';
import {
  type ElasticsearchSimulator,
  type ElasticsearchSimulatorOptions,
  startElasticsearchSimulator,
} from '../../simulators/elasticsearch';

describe('a connection to Elasticsearch', () => {
  let folder: string;
  const simulators: ElasticsearchSimulator[] = [];
  const connections: ElasticConnection[] = [];
  const signal = new AbortController().signal;
  let lastId = 0;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'connection-'));
  });
  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
    await Promise.all(simulators.splice(0).map((simulator) => simulator.close()));
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (options: ElasticsearchSimulatorOptions = {}) => {
    const simulator = await startElasticsearchSimulator(options);
    simulators.push(simulator);
    return simulator;
  };
  const connect = (options: Partial<ElasticOptions>) => {
    const connection = new ElasticConnection({ nodes: [], requestTimeoutMs: 2_000, ...options });
    connections.push(connection);
    return connection;
  };
  /** Stores a document; answers the verdict in a word or two, with the text of its error. */
  const store = async (connection: ElasticConnection): Promise<[string, string]> => {
    lastId += 1;
    const result = await connection.bulk(`{"index":{"_index":"events","_id":"${lastId}"}}\n{"n":1}\n`, 1, signal);
    const verdict = Array.isArray(result) ? (result[0] as Verdict) : result;
    return [verdict.kind, 'error' in verdict ? verdict.error.message : ''];
  };

  describe('logs in', () => {
    const token = 'a-long-bearer-token';
    const key = Buffer.from('id:an-api-key').toString('base64');
    for (const [name, right, auth, wrong] of [
      [
        'with user and password',
        { basic: { username: 'elastic', password: 'pass:word-9' } },
        'elastic:pass:word-9',
        'elastic:password-8',
      ],
      ['with an API key', { apiKey: key }, `ApiKey ${key}`, `ApiKey ${Buffer.from('id:other-key').toString('base64')}`],
      ['with an API key, however it is spelled', { apiKey: key }, `apikey  ${key}`, 'ApiKey bm90aGluZw=='],
      ['with a bearer token', { bearer: token }, `Bearer ${token}`, 'Bearer another-token'],
      ['with a token alone', { bearer: token }, token, 'another-token'],
    ] as const) {
      it(name, async () => {
        const elastic = await start({ auth: right });
        assert.deepEqual(await store(connect({ nodes: [elastic.url], auth })), ['delivered', '']);
        const [kind, message] = await store(connect({ nodes: [elastic.url], auth: wrong }));
        assert.equal(kind, 'refused');
        assert.match(message, /Check the user and password/);
        for (const part of wrong.split(/[\s:]/).slice(1)) assert.ok(!message.includes(part), message);
      });
    }

    it('not at all without a login, and is refused where one is needed', async () => {
      const elastic = await start({ auth: { bearer: token } });
      assert.equal((await store(connect({ nodes: [elastic.url] })))[0], 'refused');
    });

    it('with a colon only between user and password', () => {
      assert.deepEqual(readAuth('user:p:w'), { username: 'user', password: 'p:w' });
    });
  });

  describe('over TLS', () => {
    let certificate: Certificate;
    let elastic: ElasticsearchSimulator;
    let certificateFile: string;
    beforeEach(async () => {
      certificate = selfSignedCertificate();
      elastic = await start({ tls: certificate });
      certificateFile = join(folder, 'ca.pem');
      writeFileSync(certificateFile, certificate.cert);
    });

    it('trusts the authority it is given, and no other', async () => {
      assert.equal((await store(connect({ nodes: [elastic.url], certificateFile })))[0], 'delivered');
      writeFileSync(certificateFile, selfSignedCertificate().cert);
      const [kind, message] = await store(connect({ nodes: [elastic.url], certificateFile }));
      assert.equal(kind, 'unknown');
      assert.match(message, /self-signed certificate/);
    });

    it('trusts nobody by itself, and everybody on demand', async () => {
      const [kind, message] = await store(connect({ nodes: [elastic.url] }));
      assert.equal(kind, 'unknown');
      assert.match(message, /self-signed certificate/);
      assert.equal((await store(connect({ nodes: [elastic.url], verifyCertificate: false })))[0], 'delivered');
    });

    it('names the certificate file that it cannot read, and keeps the documents', async () => {
      const missing = join(folder, 'missing.pem');
      const [kind, message] = await store(connect({ nodes: [elastic.url], certificateFile: missing }));
      assert.equal(kind, 'refused');
      assert.match(message, /certificate file/);
      assert.ok(message.includes(missing));
    });

    it('finds the deployment that a cloud id names', async () => {
      // A cloud id holds a host and what comes before it, separated by a dot.
      const cloudId = `name:${Buffer.from(`1:${elastic.port}$127.0.0$kibana`).toString('base64')}`;
      assert.equal((await store(connect({ cloudId, certificateFile })))[0], 'delivered');
    });
  });

  it('says that a cloud id is none, and keeps the documents', async () => {
    const [kind, message] = await store(connect({ cloudId: 'no cloud id' }));
    assert.equal(kind, 'refused');
    assert.match(message, /connect to Elasticsearch.*configuration/);
  });

  describe('with several nodes', () => {
    it('uses all of them', async () => {
      const nodes = [await start(), await start(), await start()];
      const connection = connect({ nodes: nodes.map(({ url }) => url) });
      for (let n = 0; n < 30; n += 1) assert.equal((await store(connection))[0], 'delivered');
      assert.ok(nodes.every((node) => node.count('events') > 0));
    });

    it('sends to the others at once when one is away, and to it again when it is back', async () => {
      const [one, two] = [await start(), await start()];
      const connection = connect({ nodes: [one.url, two.url] });
      await one.down();
      for (let n = 0; n < 20; n += 1) assert.equal((await store(connection))[0], 'delivered');
      assert.equal(two.count('events'), 20);
      await two.down();
      assert.equal((await store(connection))[0], 'unknown');
      await one.up();
      for (let n = 0; n < 5; n += 1) assert.equal((await store(connection))[0], 'delivered');
      assert.equal(one.count('events'), 5);
    });
  });

  it('says that nobody is there', async () => {
    const elastic = await start();
    await elastic.down();
    const [kind, message] = await store(connect({ nodes: [elastic.url] }));
    assert.equal(kind, 'unknown');
    assert.match(message, new RegExp(`${elastic.url}.*ECONNREFUSED`));
  });

  it('does not wait longer for an answer than it is told', async () => {
    const elastic = await start();
    elastic.faults.bulk({ answer: 'hang' });
    const [kind, message] = await store(connect({ nodes: [elastic.url], requestTimeoutMs: 100 }));
    assert.equal(kind, 'unknown');
    assert.match(message, /timed out/i);
  });

  it('ends a request when it is told to', async () => {
    const elastic = await start();
    elastic.faults.bulk({ answer: 'hang' });
    const connection = connect({ nodes: [elastic.url], requestTimeoutMs: 60_000 });
    const abort = new AbortController();
    elastic.requests.onRequest(() => {});
    const result = connection.bulk('{"index":{"_index":"events"}}\n{}\n', 1, abort.signal);
    setImmediate(() => abort.abort());
    assert.equal(((await result) as Verdict).kind, 'unknown');
  });

  const inAMinute = (sign: number) => new Date(Date.now() + sign * 60_000).toUTCString();
  for (const [name, header, least, most] of [
    ['a number of seconds', () => '7', 7_000, 7_000],
    ['no time at all', () => '0', 0, 0],
    ['a date', () => inAMinute(1), 30_000, 60_000],
    ['a date that is over', () => inAMinute(-1), 0, 0],
    ['nonsense', () => 'soon', 0, 0],
  ] as const) {
    it(`waits as long as Retry-After says: ${name}`, async () => {
      const elastic = await start();
      elastic.faults.bulk({ answer: { status: 429, headers: { 'retry-after': header() } } });
      const verdict = await connect({ nodes: [elastic.url] }).bulk('{"index":{"_index":"a"}}\n{}\n', 1, signal);
      assert.ok(!Array.isArray(verdict) && verdict.kind === 'busy');
      const { retryAfterMs = 0 } = verdict.error;
      assert.ok(retryAfterMs >= least && retryAfterMs <= most, String(retryAfterMs));
    });
  }

  it('asks for nothing but what became of each document', async () => {
    const elastic = await start();
    await store(connect({ nodes: [elastic.url] }));
    const [{ querystring = '' } = {}] = elastic.requests.log;
    assert.equal(
      decodeURIComponent(querystring),
      'filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason',
    );
  });

  it('keeps neither credentials nor documents in what it tells of a failure', async () => {
    const simulator = await start();
    const auth = 'elastic:canary-4711';
    const connection = connect({ nodes: [simulator.url], auth });
    await simulator.down();
    const body = Buffer.from(`{"index":{"_index":"events","_id":"1"}}\n{"text":"document-4712"}\n`);
    const verdict = (await connection.bulk(body, 1, signal)) as Verdict;
    const told = inspect(verdict, { depth: 20, showHidden: true });
    assert.match(told, /UNREACHABLE/);
    for (const kept of ['canary-4711', Buffer.from(auth).toString('base64'), 'document-4712', '<Buffer']) {
      assert.ok(!told.includes(kept), told);
    }
  });

  it('never tells user and password that are part of an address', () => {
    const { target } = connect({ nodes: ['https://user:word@es1:9200/', 'http://es2:9200'] });
    assert.equal(target, 'https://es1:9200, http://es2:9200');
  });

  it('stays open for those who use it when it is closed, and closes after the last of them', async () => {
    const elastic = await start();
    const connection = connect({ nodes: [elastic.url] });
    const [leave, leaveToo] = [connection.use(), connection.use()];
    let isClosed = false;
    const closed = connection.close().then(() => {
      isClosed = true;
    });
    assert.equal((await store(connection))[0], 'delivered');
    leave();
    leave();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isClosed, false);
    leaveToo();
    await closed;
  });

  describe('when it is tried out', () => {
    it('tells the name and the version of the cluster', async () => {
      const elastic = await start({ version: '8.15.1' });
      const { version, cluster } = await connect({ nodes: [elastic.url] }).check();
      assert.equal(version, '8.15.1');
      assert.ok(cluster);
    });

    it('says what is wrong, and that it was tried out', async () => {
      const elastic = await start({ auth: { bearer: 'the-right-token' } });
      await assert.rejects(connect({ nodes: [elastic.url], auth: 'Bearer no-right-token' }).check(), (thrown) => {
        assert.ok(thrown instanceof ContactError);
        assert.equal(thrown.code, 'REFUSED');
        assert.match(thrown.message, /^Could not ask the cluster who it is/);
        return true;
      });
    });
  });
});
