import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WatchedFile } from '../../../lib/core/watched-file';
import { until } from '../until';

describe('watched file', () => {
  let folder: string;
  let path: string;
  let file: WatchedFile<number[]>;
  let changes: number[][];
  let problems: (string | undefined)[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'watched-'));
    path = join(folder, 'numbers.json');
    changes = [];
    problems = [];
  });

  afterEach(() => {
    file.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(pollMs = 60_000): Promise<void> {
    file = new WatchedFile({
      path,
      parse: (text) => JSON.parse(text) as number[],
      onChange: (value) => changes.push(value),
      onProblem: (problem) => problems.push(problem),
      pollMs,
    });
    await file.open();
  }

  it('has its value from the start and tells only of changes', async () => {
    writeFileSync(path, '[1]');
    await open();
    assert.deepEqual(file.value, [1]);
    writeFileSync(path, '[1, 2]');
    await until(() => changes.length === 1);
    assert.deepEqual(file.value, [1, 2]);
    assert.deepEqual(problems, []);
  });

  it('notices every one of several replacements by rename', async () => {
    writeFileSync(path, '[0]');
    await open();
    for (let round = 1; round <= 5; round++) {
      writeFileSync(`${path}.new`, `[${round}]`);
      renameSync(`${path}.new`, path);
      await until(() => file.value?.[0] === round);
    }
  });

  it('notices the swap of a linked folder, as with a mounted ConfigMap', async () => {
    for (const version of ['1', '2']) {
      mkdirSync(join(folder, `..${version}`));
      writeFileSync(join(folder, `..${version}`, 'numbers.json'), `[${version}]`);
    }
    symlinkSync('..1', join(folder, '..data'));
    symlinkSync(join('..data', 'numbers.json'), path);
    await open();
    assert.deepEqual(file.value, [1]);
    symlinkSync('..2', join(folder, '..tmp'));
    renameSync(join(folder, '..tmp'), join(folder, '..data'));
    await until(() => file.value?.[0] === 2);
  });

  it('keeps the last good value when the text makes no sense, says so, and recovers', async () => {
    writeFileSync(path, '[1]');
    await open();
    writeFileSync(path, '[1, ');
    await until(() => problems.length === 1);
    assert.match(problems[0]!, /numbers\.json cannot be used/);
    assert.deepEqual(file.value, [1]);
    assert.equal(file.problem, problems[0]);
    writeFileSync(path, '[3]');
    await until(() => changes.length === 1);
    assert.deepEqual(problems.slice(1), [undefined]);
    assert.deepEqual(file.value, [3]);
  });

  it('keeps the last good value when the file is removed, and reads it when it is back', async () => {
    writeFileSync(path, '[1]');
    await open();
    unlinkSync(path);
    await until(() => problems.length === 1);
    assert.deepEqual(file.value, [1]);
    writeFileSync(path, '[2]');
    await until(() => file.value?.[0] === 2);
    assert.equal(file.problem, undefined);
  });

  it('begins without a file, even without its folder, by looking every so often', async () => {
    path = join(folder, 'later/numbers.json');
    await open(5);
    assert.equal(file.value, undefined);
    assert.match(file.problem ?? '', /cannot be read/);
    mkdirSync(join(folder, 'later'));
    writeFileSync(path, '[9]');
    await until(() => file.value?.[0] === 9);
  });
});
