import type { GenesysClient } from './client';
import { fetchOffer, type TopicOffer } from './topics';

/** For how long the dialog is shown the same list, in milliseconds. */
const KEPT_MS = 60_000;

/** What organizations offer, asked for at most once a minute for each account. */
export class OfferedTopics {
  private readonly offers = new WeakMap<object, { offer: Promise<TopicOffer>; until: number }>();

  /**
   * @param fetch Asks the organization; rejects when it does not answer, which is not remembered.
   * @param now The time in milliseconds.
   */
  constructor(
    private readonly fetch: (client: GenesysClient) => Promise<TopicOffer> = fetchOffer,
    private readonly now: () => number = Date.now,
  ) {}

  /** What the organization of this client offers. */
  of(client: GenesysClient): Promise<TopicOffer> {
    const kept = this.offers.get(client);
    if (kept && this.now() < kept.until) return kept.offer;
    const offer = this.fetch(client);
    this.offers.set(client, { offer, until: this.now() + KEPT_MS });
    offer.catch(() => this.offers.delete(client));
    return offer;
  }
}
