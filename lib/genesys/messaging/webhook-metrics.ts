import type { AnyMetric } from '../../monitor/registry';
import type { WebhookCounts } from './receiver';

/** What was posted to a webhook, by what became of it. */
export function webhookMetrics(counts: WebhookCounts | undefined): AnyMetric[] {
  return Object.entries(counts ?? {}).map(([outcome, value]) => ({
    name: 'contact_center_genesys_webhook_posts_total',
    help: 'What Genesys has posted to the webhook, by what became of it; received is all of it.',
    type: 'counter' as const,
    value: value as number,
    labels: { outcome },
  }));
}
