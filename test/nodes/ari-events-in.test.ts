import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signatureOf } from '../../lib/calls/callbacks';
import type { AriConnectionNode } from '../../nodes/ari-connection';
import { type AriSimulator, startAriSimulator } from '../simulators/ari';
import { startTested, type Tested } from './calls';
import { until } from './helper';

describe('ari-events-in', () => {
  let asterisk: AriSimulator;
  let tested: Tested;
  const folders: string[] = [];

  beforeEach(async () => {
    asterisk = await startAriSimulator({ speed: 20 });
  });
  afterEach(async () => {
    await tested.runtime.stop();
    await asterisk.close();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  const start = async (
    properties: Record<string, unknown> = {},
    credentials: Record<string, string> = {},
    settings: Record<string, unknown> = {},
  ) => {
    const node = { id: 'tested', type: 'ari-events-in', connection: 'asterisk', wires: [['first']], ...properties };
    tested = await startTested(node, asterisk, { tested: credentials }, settings);
  };
  const call = async (number: string) => {
    const { connection } = tested.runtime.node<AriConnectionNode>('asterisk');
    const made = await connection!.make({
      call: {
        phoneNumber: number,
        context: 'outbound-ivr',
        extension: 's',
        priority: 1,
        timeoutMs: 10_000,
        callerId: undefined,
        variables: {},
      },
      way: { endpoint: asterisk.endpoint, answered: 'dialplan' },
      correlationId: 'request-1',
    });
    return made.call.callId;
  };

  it('tells of each step of a call once, with the call', async () => {
    await start();
    const callId = await call('+15550100');
    await until(() => tested.first.some(({ topic }) => topic === 'completed'));
    assert.deepEqual(
      tested.first.map(({ topic }) => topic),
      ['pending', 'dialing', 'ringing', 'answered', 'completed'],
    );
    const last = tested.first.at(-1) as unknown as Record<string, Record<string, unknown>>;
    assert.equal(last['payload']!['call_id'], callId);
    assert.equal(last['callId'], callId);
    assert.equal(last['correlationId'], 'request-1');
    assert.equal(last['payload']!['is_completed'], true);
    assert.deepEqual(
      (last['payload']!['transitions'] as Record<string, unknown>[]).map(({ from, to }) => [from, to]),
      [['answered', 'completed']],
    );
  });

  it('tells only of the statuses that are asked for, and of raw events when they are', async () => {
    await start({ statuses: 'busy, completed', raw: 'true' });
    await call('+15550000486');
    await until(() => tested.first.some(({ topic }) => topic === 'busy'));
    const topics = tested.first.map(({ topic }) => String(topic));
    assert.ok(topics.includes('ari/ChannelDestroyed'));
    assert.deepEqual(
      topics.filter((topic) => !topic.startsWith('ari/')),
      ['busy'],
    );
  });

  it('says which status it does not know', async () => {
    await start({ statuses: 'busy, ended' });
    assert.equal(tested.report().state, 'not-configured');
    assert.match(tested.report().reason ?? '', /statuses must hold only .*busy.*, not "busy, ended"/);
  });

  it('holds back during a pause what it would tell, while the calls go on, and tells it in order at the end', async () => {
    await start();
    tested.actions().pause?.();
    assert.equal(tested.report().state, 'paused');
    const callId = await call('+15550100');
    const { calls } = tested.runtime.node<AriConnectionNode>('asterisk');
    await until(async () => (await calls!.store.get(callId))?.status === 'completed', 'the call to be over');
    await until(() => tested.report().live?.waiting === 5);
    assert.deepEqual([tested.first.length, Object.keys(tested.actions())], [0, ['resume']]);
    tested.actions().resume?.();
    await until(() => tested.first.length === 5);
    assert.deepEqual(
      tested.first.map(({ topic }) => topic),
      ['pending', 'dialing', 'ringing', 'answered', 'completed'],
    );
    await until(() => tested.report().live?.waiting === 0);
    assert.equal(tested.report().state, 'connected');
  });

  describe('with an address to post to', () => {
    const received: { body: string; signature: string | undefined }[] = [];
    const refusals: number[] = [];
    let server: Server;
    let url: string;

    beforeEach(async () => {
      received.length = 0;
      server = createServer((request, response) => {
        let body = '';
        request.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        request.on('end', () => {
          const status = refusals.shift() ?? 204;
          if (status === 204)
            received.push({ body, signature: request.headers['x-signature-256'] as string | undefined });
          response.writeHead(status).end();
        });
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/calls`;
    });
    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    it('posts each step, signed and numbered, again until it is taken', async () => {
      refusals.push(503);
      await start({ callbackUrl: url }, { callbackSecret: 'shared secret' });
      const callId = await call('+15550000486');
      await until(() => received.length === 3, 'all three steps', 10_000);
      for (const { body, signature } of received) assert.equal(signature, signatureOf(body, 'shared secret'));
      const events = received.map(
        ({ body }) => JSON.parse(body) as { event: string; event_number: number; call: { call_id: string } },
      );
      events.sort((one, other) => one.event_number - other.event_number);
      assert.deepEqual(
        events.map(({ event }) => event),
        ['call.pending', 'call.dialing', 'call.busy'],
      );
      assert.ok(events.every((each) => each.call.call_id === callId));
      assert.equal(new Set(events.map(({ event_number }) => event_number)).size, 3);
      await until(() => tested.report().books?.delivered === 3);
    });

    it('lets go of what it has opened when it cannot open the rest', async () => {
      const userDir = mkdtempSync(join(tmpdir(), 'ari-events-'));
      folders.push(userDir);
      const spool = join(userDir, 'contact-center', 'spool', 'tested');
      mkdirSync(spool, { recursive: true });
      writeFileSync(join(spool, 'held'), 'no folder');
      await start({ callbackUrl: url }, {}, { userDir });
      assert.equal(tested.report().state, 'failed');
      rmSync(join(spool, 'held'));
      await tested.runtime.stop();
      await start({ callbackUrl: url }, {}, { userDir });
      assert.notEqual(tested.report().state, 'failed', tested.report().reason);
    });

    it('gives up what is refused for good', async () => {
      refusals.push(410, 410, 410);
      await start({ callbackUrl: url });
      await call('+15550000486');
      await until(() => tested.report().books?.rejected === 3);
    });
  });
});
