import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type NodeRed, PACK_NAME, ROOT, startNodeRed } from '../services/node-red';
import { requireService } from '../services/requirements';
import { types } from '../unit/design/checkout';
import { assertServed } from './served';

/** How the palette manager of Node-RED installs. */
const AS_THE_PALETTE_DOES = ['--no-audit', '--no-fund', '--omit=dev', '--engine-strict', '--save', '--save-prefix=~'];

describe('the packed package', function () {
  this.timeout(240_000);
  requireService('npm registry');
  let folder: string;
  let tarball: string;
  let packed: string[];
  let nodeRed: NodeRed | undefined;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'package-'));
    const [pack] = JSON.parse(await npm(ROOT, 'pack', '--json', '--pack-destination', folder));
    tarball = join(folder, pack.filename);
    packed = pack.files.map(({ path }: { path: string }) => path);
  });

  afterEach(async () => {
    await nodeRed?.kill();
    nodeRed = undefined;
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

  it('installs into an empty user directory, and Node-RED loads its nodes at the next start', async () => {
    const userDir = join(folder, 'installed');
    nodeRed = await startNodeRed({ userDir, pack: false });
    await nodeRed.stop();
    await npm(userDir, 'install', ...AS_THE_PALETTE_DOES, tarball);
    await nodeRed.restart();
    await assertServed(nodeRed);
  });

  it('installs through the palette manager of a running Node-RED, which loads its nodes at once', async () => {
    const userDir = join(folder, 'uploaded');
    nodeRed = await startNodeRed({ userDir, pack: false });
    const form = new FormData();
    form.set('tarball', new Blob([readFileSync(tarball)]), basename(tarball));
    const answer = await nodeRed.request('/nodes', { method: 'POST', body: form });
    assert.equal(answer.status, 200, await answer.text());
    await assertServed(nodeRed);
    const { dependencies } = JSON.parse(readFileSync(join(userDir, 'package.json'), 'utf8'));
    assert.ok(dependencies[PACK_NAME]);
  });
});

/** What an npm command prints. It does not see that npm itself has started the tests. */
async function npm(cwd: string, ...args: string[]): Promise<string> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { stdout } = await promisify(execFile)('npm', args, { cwd, env, shell: process.platform === 'win32' });
  return stdout;
}
