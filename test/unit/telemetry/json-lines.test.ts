import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel } from '../../../lib/telemetry/channel';
import { JsonLines } from '../../../lib/telemetry/json-lines';
import type { Signal } from '../../../lib/telemetry/signals';
import { until } from '../until';

const SIGNALS: Signal[] = [
  { kind: 'log', at: 1_700_000_000_000, level: 'warn', text: 'two\nlines', attributes: { service: 'calls' } },
  { kind: 'event', at: 1_700_000_000_001, name: 'case_created', attributes: { case_id: '7' } },
  { kind: 'metric', at: 1_700_000_000_002, name: 'api_call_duration', value: 0.25, attributes: { api_name: 'cody' } },
  {
    kind: 'span',
    span: {
      name: 'create a Case',
      kind: 'client',
      context: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true },
      parentSpanId: 'c'.repeat(16),
      links: [],
      startedAt: 1_700_000_000_003,
      tookMs: 12.5,
      attributes: {},
    },
  },
];

describe('JSON lines', () => {
  let folder: string;
  let channel: Channel;
  const open = (file: string, fileBytes?: number) => {
    const destination = new JsonLines({ file, ...(fileBytes === undefined ? {} : { fileBytes }) });
    channel = new Channel(destination, { queueLimit: 1_000, ageMs: 5 });
  };
  const linesOf = (file: string) =>
    readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'json-lines-'));
  });
  afterEach(async () => {
    await channel.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are one for each signal, with the time and the kind first', async () => {
    const file = join(folder, 'new', 'telemetry.jsonl');
    open(file);
    for (const signal of SIGNALS) channel.offer(signal);
    await until(() => channel.books().delivered === SIGNALS.length);
    const lines = linesOf(file);
    assert.deepEqual(
      lines.map(({ kind }) => kind),
      ['log', 'event', 'metric', 'span'],
    );
    assert.deepEqual(Object.entries(lines[0] ?? {}), [
      ['timestamp', '2023-11-14T22:13:20.000Z'],
      ['kind', 'log'],
      ['level', 'warn'],
      ['text', 'two\nlines'],
      ['attributes', { service: 'calls' }],
    ]);
    const { traceId, spanId, parentSpanId, spanKind } = lines[3] ?? {};
    assert.deepEqual(
      [traceId, spanId, parentSpanId, spanKind],
      ['a'.repeat(32), 'b'.repeat(16), 'c'.repeat(16), 'client'],
    );
  });

  it('begin a new file when the old one is full, of which one is kept', async () => {
    const file = join(folder, 'telemetry.jsonl');
    open(file, 300);
    for (let number = 0; number < 10; number += 1) {
      channel.offer(SIGNALS[0]!);
      await until(() => channel.books().delivered === number + 1);
    }
    assert.ok(statSync(file).size <= 300 && statSync(`${file}.1`).size <= 300);
    assert.ok(linesOf(file).length > 0);
  });

  it('wait while they cannot be written, and hold nobody up', async () => {
    writeFileSync(join(folder, 'no-folder'), '');
    open(join(folder, 'no-folder', 'telemetry.jsonl'));
    for (let number = 0; number < 5_000; number += 1) channel.offer(SIGNALS[0]!);
    assert.equal(channel.books().dropped, 4_000);
    await until(() => channel.state.state === 'retrying');
    assert.match(
      channel.state.error?.message ?? '',
      /Could not write telemetry \(.*no-folder\/telemetry.jsonl\): .*Check the path/,
    );
  });

  it('go to the standard output when asked for', () => {
    open(join(folder, 'unused'));
    const script = `
      const { JsonLines } = require('./lib/telemetry/json-lines.ts');
      const { Channel } = require('./lib/telemetry/channel.ts');
      const channel = new Channel(new JsonLines({ file: 'stdout' }), { queueLimit: 10, ageMs: 1 });
      channel.offer(${JSON.stringify(SIGNALS[1])});
      void channel.close();`;
    const output = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' });
    assert.equal(JSON.parse(output).name, 'case_created');
  });
});
