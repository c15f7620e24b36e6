import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type NodeRed, PACK_NAME, ROOT, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { manifest, read, types } from '../unit/design/checkout';
import { assertPluginsServed, assertServed } from './served';

const NEWER = '99.0.0';

describe('the packed package', function () {
  this.timeout(240_000);
  requireService('npm registry');
  let folder: string;
  let tarball: string;
  let packed: string[];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'package-'));
    const [pack] = JSON.parse(await npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder));
    tarball = join(folder, pack.filename);
    packed = pack.files.map(({ path }: { path: string }) => path);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('holds the compiled nodes with their files, what the dialogs share, the examples and the licence, and nothing else', () => {
    for (const type of types) {
      for (const file of [`${type}.js`, `${type}.html`, `locales/en-US/${type}.json`, `locales/en-US/${type}.html`]) {
        assert.ok(packed.includes(`dist/nodes/${file}`), file);
      }
    }
    assert.deepEqual(
      packed.filter(
        (path) => !/^(dist\/(nodes|lib)|examples|resources)\/|^(package\.json|LICENSE|README\.md)$/.test(path),
      ),
      [],
    );
    assert.deepEqual(
      packed.filter((path) => path.endsWith('.ts')),
      [],
    );
  });

  it('loads no library before a node needs it', async () => {
    const paths = Object.values(manifest['node-red'].nodes).map((path) => join(ROOT, path));
    const source = `${JSON.stringify(paths)}.forEach((path) => require(path)); console.log(Object.keys(require.cache).join('\\n'))`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--eval', source], { cwd: ROOT });
    const loaded = stdout.trim().split('\n');
    assert.ok(loaded.length > paths.length);
    assert.deepEqual(
      loaded.filter((path) => path.includes('node_modules')),
      [],
    );
  });

  describe('in the palette managers of Node-RED 4.1 and 5', () => {
    requireService('node-red 5');
    const versions = ['4.1', '5'] as const;
    const running: NodeRed[] = [];
    /** The two work side by side: most of it is waiting for the registry. */
    const inBoth = (step: (nodeRed: NodeRed) => Promise<void>) =>
      Promise.all(
        running.map((nodeRed, index) =>
          step(nodeRed).catch((thrown) => {
            throw new Error(`Node-RED ${versions[index]}: ${thrown.message}`, { cause: thrown });
          }),
        ),
      );

    before(async () => {
      running.push(...(await Promise.all(versions.map((version) => startNodeRed({ pack: false, version })))));
    });
    after(() => Promise.all(running.map((nodeRed) => nodeRed.stop())));

    it('is installed, and all that belongs to it is there without a restart', () =>
      inBoth(async (nodeRed) => {
        const { pid } = nodeRed;
        const answer = await upload(nodeRed, tarball);
        assert.equal(answer.status, 200, await answer.text());
        await assertServed(nodeRed);
        await assertPluginsServed(nodeRed);
        assert.equal(nodeRed.pid, pid);
        assert.ok(dependenciesOf(nodeRed)[PACK_NAME]);
      }));

    it('weighs what the README says', () =>
      inBoth(async ({ userDir }) => {
        const megabytes = sizeOf(join(userDir, 'node_modules')) / 1_000_000;
        const [, said] = /weighs (\d+) MB/.exec(read('README.md')) ?? [];
        assert.ok(Math.abs(megabytes / Number(said) - 1) < 0.1, `${megabytes.toFixed(0)} MB, not ${said} MB`);
      }));

    it('is replaced by a newer version, which runs from the next start on', async () => {
      const file = await newer();
      await inBoth(async (nodeRed) => {
        const answer = await upload(nodeRed, file);
        assert.equal(answer.status, 200, await answer.text());
        assert.equal(await moduleOf(nodeRed, 'pending_version'), NEWER);
        await nodeRed.restart();
        assert.equal(await moduleOf(nodeRed, 'version'), NEWER);
        await assertServed(nodeRed);
      });
    });

    it('is removed, and nothing of it stays', () =>
      inBoth(async (nodeRed) => {
        const answer = await nodeRed.request(`/nodes/${PACK_NAME}`, { method: 'DELETE' });
        assert.equal(answer.status, 204, await answer.text());
        for (const path of ['/nodes', '/plugins', '/icons']) {
          const text = await (await nodeRed.request(path, { headers: { Accept: 'application/json' } })).text();
          assert.ok(!text.includes(PACK_NAME), `${path} ${text}`);
        }
        assert.equal(dependenciesOf(nodeRed)[PACK_NAME], undefined);
        assert.ok(!existsSync(join(nodeRed.userDir, 'node_modules', PACK_NAME)));
      }));
  });

  /** The same package under a higher version, made once. */
  async function newer(): Promise<string> {
    const file = join(folder, 'newer.tgz');
    if (existsSync(file)) return file;
    await promisify(execFile)('tar', ['-xzf', tarball, '-C', folder]);
    const manifestFile = join(folder, 'package/package.json');
    writeFileSync(manifestFile, JSON.stringify({ ...JSON.parse(readFileSync(manifestFile, 'utf8')), version: NEWER }));
    await promisify(execFile)('tar', ['-czf', file, '-C', folder, 'package']);
    return file;
  }
});

/** What the palette manager does with a file. */
function upload(nodeRed: NodeRed, file: string): Promise<Response> {
  const form = new FormData();
  form.set('tarball', new Blob([readFileSync(file)]), basename(file));
  return nodeRed.request('/nodes', { method: 'POST', body: form });
}

/** A fact about the pack that Node-RED shows in its palette manager. */
async function moduleOf(nodeRed: NodeRed, fact: 'version' | 'pending_version'): Promise<string | undefined> {
  const answer = await nodeRed.request(`/nodes/${PACK_NAME}`, { headers: { Accept: 'application/json' } });
  return ((await answer.json()) as Record<string, string>)[fact];
}

function dependenciesOf({ userDir }: NodeRed): Record<string, string> {
  return JSON.parse(readFileSync(join(userDir, 'package.json'), 'utf8')).dependencies ?? {};
}

/** The size of all files below a folder, in bytes. */
function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

/** What an npm command prints. It does not see that npm itself has started the tests. */
async function npm(cwd: string, ...args: string[]): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { stdout } = await promisify(execFile)('npm', args, { cwd, env, shell: process.platform === 'win32' });
  return stdout;
}
