import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ROOT } from '../../services/node-red';

/** A data address with this code, for `--import`. */
const module = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;

describe('npm start in a bare clone', () => {
  let folder: string;
  let programs: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bare-clone-'));
    programs = join(folder, 'programs');
    mkdirSync(programs);
    mkdirSync(join(folder, 'test/commands'), { recursive: true });
    for (const file of ['test/commands/start.mjs', 'test/commands/prepare.mjs', 'package.json', 'package-lock.json']) {
      cpSync(join(ROOT, file), join(folder, file));
    }
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const npmThat = (script: string) => {
    const file = join(programs, 'npm');
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  };
  /** Runs it with no other programs than those of the test and of the system. */
  const start = ({ env = {}, nodeArgs = [] }: { env?: Record<string, string>; nodeArgs?: string[] } = {}) => {
    const path = [programs, '/usr/bin', '/bin'].join(delimiter);
    const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, 'test/commands/start.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: path, PORT: '0', ...env },
    });
    return { status, stdout, stderr };
  };

  it('says in a sentence that this Node is too old, before it installs anything', () => {
    npmThat('echo must not run >&2; exit 1');
    const older = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })`;
    const { status, stderr } = start({ nodeArgs: ['--import', module(older)] });
    assert.equal(status, 1);
    assert.match(stderr, /^\nThis needs Node [\d.]+ or newer, but this is Node 18\.20\.4\. .*\n$/);
  });

  it('says how much it installs, and in a sentence that there is no network', () => {
    npmThat(
      'echo "npm error network request to the registry failed, reason: getaddrinfo ENOTFOUND registry" >&2; exit 1',
    );
    const { status, stdout, stderr } = start();
    assert.equal(status, 1);
    assert.match(stdout, /^Installing \d+ packages, once … failed\n$/);
    assert.match(stderr, /^\nnpm cannot reach its registry, and \S+ is not complete: connect this machine .*\n$/);
  });

  it('shows what npm said when it failed for another reason', () => {
    npmThat('echo "npm error the disk is full" >&2; exit 1');
    assert.match(start().stderr, /^\nnpm could not install the packages:\nnpm error the disk is full\s*$/);
  });

  it('says in a sentence that there is no npm', () => {
    const { stderr } = start({ env: { PATH: programs } });
    assert.match(stderr, /^\nnpm, which comes with Node, could not be run: .*\n$/);
  });

  it('says in a sentence that PORT is no port', () => {
    assert.match(start({ env: { PORT: '99999' } }).stderr, /^\nPORT must be the number of a port, .* not 99999\.\n$/);
  });
});
