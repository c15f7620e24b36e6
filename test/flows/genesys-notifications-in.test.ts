import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../nodes/helper';
import { type FlowEntry, type NodeRed, ROOT, startNodeRed } from '../services/node-red';
import { defaultClient, type GenesysSimulator, startGenesysSimulator } from '../simulators/genesys';

/** Writes each event down before it settles it: what stands in the file has been handled safely. */
const WRITE_DOWN = `
  const body = msg.payload.eventBody;
  const conversation = body.conversationId ?? body.conversation.id;
  global.get('append')(msg.eventId + ' ' + parseInt(conversation.slice(24), 16) + '\\n');
  global.get('settle')(msg, { kind: 'acknowledge' });
`;

const FLOWS: FlowEntry[] = [
  { id: 'tab', type: 'tab', label: 'Tab' },
  {
    id: 'account',
    type: 'genesys-oauth',
    name: '',
    region: '${GENESYS_ENV}',
    loginUrl: '${GENESYS_LOGIN_URL}',
    apiUrl: '${GENESYS_API_URL}',
    clientIdEnvironment: 'GENESYS_CLIENT_ID',
    clientSecretEnvironment: 'GENESYS_CLIENT_SECRET',
  },
  {
    id: 'source',
    type: 'genesys-notifications-in',
    z: 'tab',
    name: '',
    account: 'account',
    discover: true,
    include: 'audiohook',
    overlapSeconds: 2,
    settle: true,
    x: 100,
    y: 40,
    wires: [['write-down']],
  },
  { id: 'write-down', type: 'function', z: 'tab', name: '', func: WRITE_DOWN, outputs: 0, x: 300, y: 40, wires: [] },
];

describe('genesys-notifications-in in a Node-RED of its own', () => {
  let genesys: GenesysSimulator;
  let nodeRed: NodeRed;
  let folder: string;
  let file: string;

  beforeEach(async function () {
    this.timeout(90_000);
    folder = mkdtempSync(join(tmpdir(), 'written-down-'));
    file = join(folder, 'events');
    writeFileSync(file, '');
    genesys = await startGenesysSimulator({ rateLimitPerMinute: Number.POSITIVE_INFINITY });
    const deliveries = JSON.stringify(join(ROOT, 'dist/lib/core/deliveries'));
    nodeRed = await startNodeRed({
      flows: FLOWS,
      env: {
        GENESYS_ENV: undefined,
        GENESYS_LOGIN_URL: genesys.url,
        GENESYS_API_URL: genesys.url,
        GENESYS_CLIENT_ID: defaultClient.id,
        GENESYS_CLIENT_SECRET: defaultClient.secret,
      },
      settings: `{ functionGlobalContext: {
        settle: require(${deliveries}).settleDelivery,
        append: (line) => require('fs').appendFileSync(${JSON.stringify(file)}, line),
      } }`,
    });
  });

  afterEach(async () => {
    await nodeRed?.stop();
    await genesys.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The identifiers under which each event was written down, by its number. */
  function writtenDown(): Map<number, string[]> {
    const events = new Map<number, string[]>();
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [id, number] = line.split(' ');
      if (number !== undefined) events.set(Number(number), [...(events.get(Number(number)) ?? []), id!]);
    }
    return events;
  }

  it('loses no event when the process is killed again and again, and repeats events only under the same id', async function () {
    this.timeout(180_000);
    await until(() => genesys.channels[0]?.sockets === 1, 'the first connection', 20_000);
    const run = genesys.generate({ count: 6_000, ratePerSecond: 150 });
    for (let round = 1; round <= 5; round++) {
      const before = writtenDown().size;
      await until(() => writtenDown().size > before + 20 + round * 7, 'events', 30_000);
      await nodeRed.kill();
      const { id } = genesys.channels[0]!;
      await nodeRed.restart();
      assert.equal(genesys.channels[0]!.id, id);
    }
    run.stop();
    await run.done;
    await until(() => writtenDown().size === run.sent, `all ${run.sent} events`, 30_000);
    for (const ids of writtenDown().values()) assert.equal(new Set(ids).size, 1);
    assert.equal(genesys.requests.counts['POST /api/v2/notifications/channels'], 1);
  });
});
