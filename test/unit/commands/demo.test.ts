import assert from 'node:assert/strict';
import { readAllFlows, SERVICES, type ServiceName, tabOf } from '../../commands/demo/flows';
import { screen } from '../../commands/demo/screen';
import type { RunningSystem, SystemName } from '../../commands/demo/systems';
import { type Traffic, trafficOf } from '../../commands/demo/traffic';
import type { CodySimulator } from '../../simulators/cody';
import type { GenesysSimulator } from '../../simulators/genesys';

const NAMES: readonly SystemName[] = ['Genesys Cloud', 'Elasticsearch', 'Cody', 'Zoho CRM', 'Asterisk', 'RabbitMQ'];

/** The systems of the demo, of which these are real. Nothing is sent here, so a simulator need only be there. */
function systemsWith(real: readonly SystemName[]): RunningSystem[] {
  return NAMES.map((name) => {
    if (real.includes(name)) return { name, variable: 'NAME', provision: 'real' };
    const genesys = name === 'Genesys Cloud' ? { genesys: {} as GenesysSimulator } : {};
    const cody = name === 'Cody' ? { cody: {} as CodySimulator } : {};
    return { name, variable: 'NAME', provision: 'simulated', ...genesys, ...cody };
  });
}

function traffic(real: readonly SystemName[], environment: Record<string, string> = {}): Traffic[] {
  return trafficOf(systemsWith(real), environment, new AbortController().signal);
}

const busy = (all: readonly Traffic[]) => all.filter(({ start }) => start).map(({ service }) => service);

describe('the demo of npm start', () => {
  it('is the five services, each with its own tab', () => {
    const tabs = readAllFlows().filter(({ type }) => type === 'tab');
    const own = (Object.keys(SERVICES) as ServiceName[]).map(tabOf);
    assert.deepEqual(
      own.map(({ id }) => id),
      tabs.map(({ id }) => id),
    );
  });

  it('has traffic in every flow when all is simulated, and when the servers of its user are real', () => {
    const all = Object.keys(SERVICES);
    assert.deepEqual(busy(traffic([])), all);
    assert.deepEqual(busy(traffic(['Elasticsearch', 'RabbitMQ'])), all);
  });

  it('makes up nothing that would reach a customer', () => {
    assert.deepEqual(busy(traffic(['Genesys Cloud'])), ['cody2zoho', 'ocelot', 'calls']);
    assert.deepEqual(busy(traffic(['Zoho CRM'])), ['audiohook', 'ocelot', 'calls', 'messages']);
    assert.deepEqual(busy(traffic(['Cody'])), ['audiohook', 'ocelot', 'calls', 'messages']);
    assert.deepEqual(busy(traffic(['Asterisk'], { ARI_ENDPOINT: 'PJSIP/{number}@trunk' })), [
      'audiohook',
      'cody2zoho',
      'ocelot',
      'messages',
    ]);
  });

  it('makes calls with a real Asterisk that keeps them to itself', () => {
    assert.ok(busy(traffic(['Asterisk'], { ARI_ENDPOINT: 'Local/{number}@demo' })).includes('calls'));
  });

  it('fits on one screen, and says of each system whether it is real', () => {
    const systems = systemsWith(['RabbitMQ']);
    const url = 'http://127.0.0.1:1880';
    const facts = { url, systems, traffic: traffic(['RabbitMQ']), apiUser: 'user demo', monitorToken: 'f'.repeat(24) };
    const lines = screen(facts).split('\n');
    assert.ok(lines.length <= 30, `${lines.length} lines`);
    assert.ok(Math.max(...lines.map(({ length }) => length)) <= 120);
    for (const name of NAMES) {
      const provision = name === 'RabbitMQ' ? 'real' : 'simulated';
      assert.ok(
        lines.some((line) => new RegExp(`^ +${name} +${provision} `).test(line)),
        name,
      );
    }
  });
});
