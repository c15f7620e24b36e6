import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { main } from '../../../lib/command/main';
import { ORIGINAL_SERVICES } from '../../../lib/command/original-services';
import { read } from '../design/checkout';
import { readVariables } from '../design/environment';
import { environmentNames, readExamples } from '../design/examples';
import { migrationPage } from '../design/migration-page';

/** An environment of each service, as its users have it. */
const FILES: Record<string, string> = {
  'audiohook-collector': `GENESYS_ENV=usw2.pure.cloud
GENESYS_CLIENT_ID=abc
GENESYS_CLIENT_SECRET="s3cret with # and spaces"
export ELASTIC_URL=https://elastic.example.com:9200
ELASTIC_AUTH='elastic:pass'
ELASTIC_INDEX=audiohook
HTTP_STATUS_PORT=8077
HTTP_STATUS_ENABLED=true
`,
  'cody-to-zoho': `CODY_API_KEY=k
CODY_BOT_ID=b
ZOHO_CLIENT_ID=1000.A
ZOHO_CLIENT_SECRET=x
ZOHO_REFRESH_TOKEN=1000.B
ZOHO_CONTACT_ID=5725767000000474001
POLL_INTERVAL_SECONDS=60
PORT=8080
GRAYLOG_ENVIRONMENT=production
`,
  'ocelot-events': `RABBITMQ_URL=amqp://app:secret@broker:5672/
USE_INMEMORY_EVENTS=false
`,
  'ari-call-api': `DATABASE_URL=postgresql+asyncpg://calls:pw@db:5432/calls
ARI_HTTP_URL=http://asterisk:8088/ari
ARI_PASSWORD=other
SECRET_KEY=0123456789abcdef0123456789abcdef
ALGORITHM=HS256
RATE_LIMIT_REQUESTS=10
`,
  'genesys-messages': `RABBITMQ_URL=amqp://rabbit
TENANT_SERVICE_URL=http://tenants:3007
AUTH_SERVICE_URL=http://auth:3004
RABBITMQ_PREFETCH=10
`,
};

describe('the command contact-center migrate', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'migrate-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = async (text: string, ...more: string[]) => {
    const file = join(folder, 'original.env');
    writeFileSync(file, text);
    return call(file, ...more);
  };
  const call = async (...parameters: string[]) => {
    const [output, errors] = [new PassThrough().setEncoding('utf8'), new PassThrough().setEncoding('utf8')];
    const code = await main(['migrate', ...parameters], { input: Readable.from([]), output, errors, environment: {} });
    return { code, output: String(output.read() ?? ''), errors: String(errors.read() ?? '') };
  };

  for (const [flow, text] of Object.entries(FILES)) {
    it(`recognizes the service of ${flow}, keeps what it can and says what it cannot`, async () => {
      const { code, output, errors } = await run(text);
      assert.equal(code, 0, errors);
      assert.match(output, new RegExp(`^# ${flow}, from `));
      assert.equal(output.match(/^#/gm)?.length, 1);
      const before = parseEnv(text);
      const now = parseEnv(output);
      const { variables } = ORIGINAL_SERVICES.find((service) => service.flow === flow) ?? {};
      for (const [name, value] of Object.entries(before)) {
        const { name: newName = name, dropped, convert } = variables?.[name] ?? {};
        if (dropped === undefined && !convert) assert.equal(now[newName], value, name);
        if (dropped !== undefined) assert.ok(errors.includes(`${name} is left out.`), name);
      }
      assert.doesNotMatch(errors, /s3cret|elastic:pass|1000\.B|app:secret|:pw@|0123456789/);
    });
  }

  it('keeps what the services did without being told', async () => {
    const now = async (flow: string) => parseEnv((await run(FILES[flow] ?? '')).output);
    assert.equal((await now('audiohook-collector'))['ELASTIC_INDEX'], 'audiohook-{yyyy.MM.dd}');
    assert.equal((await now('audiohook-collector'))['PORT'], '8077');
    assert.equal((await now('cody-to-zoho'))['REDIS_URL'], 'redis://localhost:6379/0');
    assert.equal((await now('ocelot-events'))['RABBITMQ_URL'], 'amqp://app:secret@broker:5672/');
    const calls = await now('ari-call-api');
    assert.equal(calls['ARI_USERNAME'], 'ariuser');
    assert.equal(calls['METRICS_ENABLED'], 'true');
    assert.equal(calls['DATABASE_URL'], 'postgresql://calls:pw@db:5432/calls');
    assert.equal((await now('genesys-messages'))['OUTBOUND_QUEUE'], 'genesys.outbound.ready');
  });

  it('leaves a data stream its name, and events in memory where they were', async () => {
    const stream = await run('ELASTIC_URL=http://e:9200\nELASTIC_INDEX=logs-a\nELASTIC_DATASTREAM=true\n');
    assert.match(stream.output, /^ELASTIC_INDEX=logs-a$/m);
    const events = await run('ENABLE_EVENTS=true\n');
    assert.match(events.output, /^RABBITMQ_URL=memory:$/m);
  });

  it('does several services in one file, and names what belongs to none', async () => {
    const { output, errors } = await run(`${FILES['ocelot-events']}${FILES['cody-to-zoho']}NODE_ENV=production\n`);
    assert.match(output, /^# cody-to-zoho/m);
    assert.match(output, /^# ocelot-events/m);
    assert.match(errors, /^No variables of the service: NODE_ENV\.$/m);
  });

  it('says in a sentence what is wrong with how it was called', async () => {
    assert.match((await call()).errors, /contact-center migrate FILE/);
    assert.match((await call(join(folder, 'missing'))).errors, /missing cannot be read: ENOENT/);
    assert.match((await run('NODE_ENV=production\n')).errors, /no variable of the five services/);
    const other = await run('A=1\n', '--flow', 'nonsense');
    assert.deepEqual([other.code, other.output], [2, '']);
    assert.match(other.errors, /no flow nonsense: choose from .*ocelot-events/);
  });

  it('writes every value so that it is read back as it was', async () => {
    const value = fc.string({ unit: fc.constantFrom(...'aZ0 #$\'"`=\\{}:;&|<>*?') }).filter((text) => {
      // The format has no escapes: what holds all three quotes cannot be written.
      return text.trim() === text && !["'", '"', '`'].every((mark) => text.includes(mark)) && !text.includes('\\');
    });
    await fc.assert(
      fc.asyncProperty(value, async (text) => {
        const mark = ["'", '"', '`'].find((each) => !text.includes(each)) ?? "'";
        const { output } = await run(`CODY_API_KEY=${mark}${text}${mark}\n`);
        assert.equal(parseEnv(output)['CODY_API_KEY'], text);
      }),
      { numRuns: 50 },
    );
  });
});

describe('what is known of the original services', () => {
  const explained = new Set(readVariables(read('README.md')).map(({ name }) => name));

  for (const { flow, variables, additions, marks } of ORIGINAL_SERVICES) {
    it(`leads, for ${flow}, to variables that the README explains, and each of its own is read by the flow`, () => {
      const names = [
        ...Object.entries(variables).flatMap(([name, { name: now = name, dropped }]) => (dropped ? [] : [now])),
        ...additions.map(({ name }) => name),
      ];
      // These two are mentioned with the variable that they are another name of.
      const isAlias = (name: string) => ['ENABLE_NOTES', 'POLLING_INTERVAL'].includes(name);
      assert.deepEqual(
        names.filter((name) => !explained.has(name) && !isAlias(name)),
        [],
      );
      const example = readExamples().find(({ path }) => path === `examples/${flow}.json`);
      const read = environmentNames(example?.entries ?? []);
      const ofTheProcess = ['PORT', 'HOST', 'LOG_LEVEL'];
      assert.deepEqual(
        names.filter((name) => !read.includes(name) && !ofTheProcess.includes(name) && !isAlias(name)),
        [],
      );
      assert.ok(marks.every((mark) => mark in variables));
    });
  }

  it('is what docs/migration.md says', () => assert.equal(read('docs/migration.md'), migrationPage()));
});
