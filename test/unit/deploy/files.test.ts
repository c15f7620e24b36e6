import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { validate as lintDockerfile } from 'dockerfile-utils';
import * as ts from 'typescript';
import { Language, Parser } from 'web-tree-sitter';
import { parse, parseAllDocuments } from 'yaml';
import { ROOT } from '../../services/node-red';
import { requireService } from '../../services/requirements';
import { filesBelow, read, readJson } from '../design/checkout';
import { readExamples } from '../design/examples';

const EXAMPLES = readExamples().map(({ path }) => path.replace(/^examples\/|\.json$/g, ''));

describe('the container', () => {
  it('has a Dockerfile without an error or a warning', () => {
    const problems = lintDockerfile(read('deploy/Dockerfile'), {});
    assert.deepEqual(
      problems.map(({ message, range }) => `line ${range.start.line + 1}: ${message}`),
      [],
    );
  });

  it('is based on the official image, does not run as root, stops with SIGTERM and has a health check', () => {
    const instructions = read('deploy/Dockerfile').split('\n');
    const last = (keyword: string) => instructions.filter((line) => line.startsWith(`${keyword} `)).at(-1);
    assert.match(last('FROM') ?? '', /^FROM nodered\/node-red:/);
    assert.equal(last('USER'), 'USER node-red');
    assert.equal(last('STOPSIGNAL'), 'STOPSIGNAL SIGTERM');
    assert.ok(last('HEALTHCHECK'));
    // In this form the signal reaches Node and not a shell.
    assert.match(last('ENTRYPOINT') ?? '', /^ENTRYPOINT \["node", /);
  });

  it('gets every file of the build that it copies', () => {
    const kept: string[] = read('deploy/Dockerfile.dockerignore').match(/(?<=^!).+/gm) ?? [];
    assert.deepEqual(
      kept.filter((path: string) => !existsSync(join(ROOT, path))),
      [],
    );
    const { files } = readJson<{ files: string[] }>('package.json');
    assert.deepEqual(
      files.filter((path) => path !== 'dist' && !path.startsWith('!') && !kept.includes(path)),
      [],
    );
  });
});

describe('compose.yaml', () => {
  const text = read('deploy/compose.yaml');
  const compose = parse(text, { merge: true }) as {
    services: Record<string, { env_file?: { path: string }[]; volumes?: string[]; profiles?: string[] }>;
    volumes: Record<string, unknown>;
  };

  it('is what the schema of Docker Compose asks for', () => {
    const { $schema: _dialect, ...schema } = readJson('node_modules/dclint/schemas/compose.schema.json');
    const check = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
    assert.ok(check(compose), JSON.stringify(check.errors, undefined, 2));
  });

  it('takes the environment of every example, and explains each variable of its own', () => {
    const files = compose.services['node-red']?.env_file?.map(({ path }) => path) ?? [];
    assert.deepEqual(files.toSorted(), ['node-red', ...EXAMPLES].map((name) => `env/${name}.env`).sort());
    const explained = read('deploy/.env.example');
    for (const [, name] of text.matchAll(/(?<!\$)\$\{(\w+)/g)) assert.match(explained, new RegExp(`^#?${name}=`, 'm'));
  });

  it('mounts only files and volumes that are there', () => {
    const sources = Object.values(compose.services).flatMap(({ volumes = [] }) => volumes.map((v) => v.split(':')[0]));
    for (const source of sources) {
      if (source?.startsWith('.')) assert.ok(existsSync(join(ROOT, 'deploy', source)), source);
      else assert.ok(source && source in compose.volumes, source);
    }
  });

  it('starts Asterisk, Prometheus, Grafana and Graylog only when asked', () => {
    const optional = Object.entries(compose.services).filter(([, { profiles }]) => profiles);
    assert.deepEqual(
      optional
        .map(([name]) => name.split('-')[0])
        .filter(unique)
        .sort(),
      ['asterisk', 'grafana', 'graylog', 'prometheus'],
    );
  });
});

describe('the Kubernetes manifest', () => {
  const documents = parseAllDocuments(read('deploy/kubernetes/contact-center.yaml')).map(
    (document) => document.toJS() as { apiVersion: string; kind: string; spec?: Record<string, unknown> },
  );

  it('is what the schemas of Kubernetes ask for', () => {
    for (const document of documents) {
      const module = `kubernetes-models/${document.apiVersion}`;
      const models = require(module) as Record<string, new (data: object) => { validate(): void }>;
      const Model = models[document.kind];
      assert.ok(Model, document.kind);
      new Model(document).validate();
    }
  });

  // The schemas let unknown fields pass, and a misspelt one would be ignored; the types do not.
  it('has no field that Kubernetes does not know', function () {
    this.timeout(60_000);
    const declare = (document: { apiVersion: string; kind: string }, name: string) =>
      `export const ${name}: import('kubernetes-models/${document.apiVersion}').I${document.kind} = ${JSON.stringify(document)};`;
    const set = documents.find(({ kind }) => kind === 'StatefulSet');
    assert.ok(set);
    const misspelt = { ...set, spec: { ...set.spec, replica: 2 } };
    const sources = [
      ...documents.map((document, index) => declare(document, `document${index}`)),
      declare(misspelt, 'misspelt'),
    ];
    const [error = '', ...others] = typeErrors(sources.join('\n'));
    assert.match(error, /"replica"/);
    assert.deepEqual(others, []);
  });

  it('runs two processes, each with its own disk and Stasis application', () => {
    const set = documents.find(({ kind }) => kind === 'StatefulSet');
    assert.equal(set?.spec?.['replicas'], 2);
    assert.ok(set?.spec?.['volumeClaimTemplates']);
    assert.match(JSON.stringify(set), /"name":"ARI_APP","value":"\$\(POD_NAME\)"/);
  });
});

describe('the scripts', () => {
  const shell = requireService('shellcheck');

  it('are shell that bash and shellcheck accept', () => {
    for (const path of ['deploy/systemd/install', 'test/services/up', '.ci/run']) {
      execFileSync('bash', ['-n', path], { cwd: ROOT });
      execFileSync(shell.location, ['--severity=warning', path], { cwd: ROOT });
    }
  });

  it('are PowerShell without an error in its syntax', async () => {
    await Parser.init();
    const grammar = require.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm');
    const parser = new Parser().setLanguage(await Language.load(grammar));
    const isBroken = (script: string) => parser.parse(script)?.rootNode.hasError;
    assert.equal(isBroken('if ($one { "two" }'), true);
    for (const path of filesBelow('deploy', '.ps1')) assert.equal(isBroken(read(path)), false, path);
  });
});

describe('the unit of systemd', () => {
  const systemd = requireService('systemd');
  const unit = 'deploy/systemd/contact-center.service';

  it('is accepted by systemd', () => {
    const said = execFileSync(systemd.location, ['verify', '--man=no', unit], { cwd: ROOT, encoding: 'utf8' });
    assert.equal(said, '');
  });

  it('leaves the service little that it could do harm with', () => {
    const limit = 20; // of 100: systemd calls this OK
    execFileSync(systemd.location, ['security', '--offline=true', `--threshold=${limit}`, '--no-pager', unit], {
      cwd: ROOT,
    });
  });

  it('gives the nodes time to finish what is under way', () => {
    const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(read(unit))?.[1]);
    assert.ok(seconds >= 20);
    assert.match(read(unit), /^KillSignal=SIGTERM$/m);
  });
});

/** What the compiler says about a module of the checkout that exists in memory only. */
function typeErrors(source: string): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    lib: ['lib.es2022.d.ts'],
    module: ts.ModuleKind.CommonJS,
    moduleResolution: ts.ModuleResolutionKind.Node10,
    target: ts.ScriptTarget.ES2022,
  };
  const path = join(ROOT, 'in-memory.ts');
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.getSourceFile = (name, ...rest) =>
    name === path ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  host.fileExists = (name) => name === path || fileExists(name);
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

function unique<Item>(item: Item, index: number, items: Item[]): boolean {
  return items.indexOf(item) === index;
}
