import assert from 'node:assert/strict';
import { mergeFlows } from '../../services/flows';

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
