import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { openEmbeddedCallStore } from '../../../lib/calls/embedded-store';
import { Passwords } from '../../../lib/calls/passwords';
import { main } from '../../../lib/command/main';

describe('the command contact-center user', function () {
  this.timeout(30_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'users-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs it as at a shell: what it prints, and its exit code. */
  const run = async (line: string, input = '', environment: NodeJS.ProcessEnv = { NODE_RED_HOME: folder }) => {
    const output = new PassThrough().setEncoding('utf8');
    const parameters = line === '' ? [] : line.split(' ');
    const code = await main(parameters, { input: Readable.from([input]), output, errors: output, environment });
    output.end();
    let text = '';
    for await (const chunk of output) text += chunk;
    return { code, text };
  };

  it('adds users, lists them, changes passwords, disables and enables', async () => {
    assert.deepEqual(await run('user list'), { code: 0, text: 'There are no users.\n' });
    assert.deepEqual(await run('user add alice', 'correct horse battery\n'), { code: 0, text: 'Added alice.\n' });
    assert.match((await run('user list')).text, /^alice {2}active {4}changed \d{4}-\d{2}-\d{2}\n$/);
    assert.equal((await run('user passwd alice', 'another long password\n')).code, 0);
    assert.equal((await run('user disable alice')).code, 0);
    assert.match((await run('user list')).text, /disabled/);
    const store = openEmbeddedCallStore(join(folder, 'contact-center/calls'));
    const user = (await store.user('alice'))!;
    await store.close();
    const passwords = new Passwords();
    assert.equal(await passwords.check('another long password', user.passwordHash), true);
    assert.equal(await passwords.check('correct horse battery', user.passwordHash), false);
    await passwords.close();
    assert.equal(user.disabled, true);
    assert.equal((await run('user enable alice')).code, 0);
    assert.match((await run('user list')).text, /active/);
  });

  it('prints a hash for the environment', async () => {
    const { text } = await run('user hash', 'correct horse battery');
    assert.match(text, /^\$2b\$12\$[./A-Za-z0-9]{53}\n$/);
  });

  it('says what is wrong, without a stack', async () => {
    const wrong: [line: string, input: string, code: number, text: RegExp][] = [
      ['', '', 2, /contact-center user add NAME/],
      ['unknown', '', 2, /contact-center user add NAME/],
      ['user', '', 2, /contact-center user add NAME/],
      ['user add', '', 2, /contact-center user add NAME/],
      ['user add a b', '', 2, /contact-center user add NAME/],
      ['user add alice', 'short', 1, /fewer than 10/],
      ['user add al|ice', 'long enough password', 2, /letters, digits/],
      ['user passwd nobody', 'long enough password', 2, /no user nobody/],
      ['user list --colour red', '', 2, /colour[\s\S]*contact-center user add NAME/],
      ['user toString alice', '', 2, /contact-center user add NAME/],
      ['user list --database postgresql://user:hunter22@127.0.0.1:1/calls', '', 1, /PostgreSQL runs/],
    ];
    for (const [line, input, code, text] of wrong) {
      const result = await run(line, input);
      assert.equal(result.code, code, line);
      assert.match(result.text, text);
      assert.doesNotMatch(result.text, /hunter22|\n {4}at /);
    }
    await run('user add alice', 'long enough password');
    assert.match((await run('user add alice', 'long enough password')).text, /already/);
  });
});
