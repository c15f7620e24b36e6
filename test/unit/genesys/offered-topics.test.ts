import assert from 'node:assert/strict';
import type { GenesysClient } from '../../../lib/genesys/client';
import { OfferedTopics } from '../../../lib/genesys/offered-topics';
import type { TopicOffer } from '../../../lib/genesys/topics';

const OFFER = { problems: [] } as unknown as TopicOffer;

describe('what an organization offers to a dialog', () => {
  const account = {} as GenesysClient;
  let asked: number;
  let now: number;
  let isAway: boolean;
  let topics: OfferedTopics;

  beforeEach(() => {
    asked = 0;
    now = 0;
    isAway = false;
    const fetch = async () => {
      asked += 1;
      if (isAway) throw new Error('away');
      return OFFER;
    };
    topics = new OfferedTopics(fetch, () => now);
  });

  it('is asked for once a minute', async () => {
    assert.equal(await topics.of(account), OFFER);
    now = 59_999;
    await topics.of(account);
    assert.equal(asked, 1);
    now = 60_000;
    await topics.of(account);
    assert.equal(asked, 2);
  });

  it('is asked for once for those who ask at the same time', async () => {
    await Promise.all([topics.of(account), topics.of(account)]);
    assert.equal(asked, 1);
  });

  it('is asked for by each account', async () => {
    await topics.of(account);
    await topics.of({} as GenesysClient);
    assert.equal(asked, 2);
  });

  it('is asked for again after a failure', async () => {
    isAway = true;
    await assert.rejects(topics.of(account), /away/);
    isAway = false;
    assert.equal(await topics.of(account), OFFER);
  });
});
