import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { mergeFlows } from '../../../lib/command/flows';
import { main } from '../../../lib/command/main';
import type { FlowEntry } from '../../services/node-red';
import { readExamples } from '../design/examples';

describe('the command contact-center flows', () => {
  const run = async (...names: string[]) => {
    const [output, errors] = [new PassThrough().setEncoding('utf8'), new PassThrough().setEncoding('utf8')];
    const code = await main(['flows', ...names], { input: Readable.from([]), output, errors, environment: {} });
    return { code, output: String(output.read() ?? ''), errors: String(errors.read() ?? '') };
  };
  const names = readExamples().map(({ path }) => path.replace(/^examples\/|\.json$/g, ''));

  it('lists the examples', async () => {
    assert.deepEqual((await run()).output.trim().split('\n').sort(), names.toSorted());
  });

  it('prints the chosen ones as one flow file', async () => {
    const { code, output } = await run(...names);
    assert.equal(code, 0);
    const ids = (JSON.parse(output) as FlowEntry[]).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const wanted = new Set(readExamples().flatMap(({ entries }) => entries.map(({ id }) => id)));
    assert.deepEqual(new Set(ids), wanted);
  });

  it('says which examples there are when it is asked for another one', async () => {
    const { code, output, errors } = await run('nonsense');
    assert.deepEqual([code, output], [2, '']);
    assert.match(errors, /no example nonsense: choose from .*ocelot-events/);
  });
});

describe('flow files as one', () => {
  const shared = { id: 'store', type: 'contact-store', path: 'here' };

  it('keep a shared configuration node once', () => {
    const first = [{ id: 'a', type: 'tab' }, shared];
    const second = [{ id: 'b', type: 'tab' }, { ...shared }];
    assert.deepEqual(
      mergeFlows([first, second]).map(({ id }) => id),
      ['a', 'store', 'b'],
    );
  });

  it('are refused when one id stands for two different things', () => {
    assert.throws(() => mergeFlows([[shared], [{ ...shared, path: 'there' }]]), /id store/);
  });
});
