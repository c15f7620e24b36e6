import { type DeliveryOutcome, settleDelivery } from '../lib/core/deliveries';
import { choice, number, readConfig, text } from '../lib/red/config';
import { onInput } from '../lib/red/input';
import type { Red, RuntimeNode } from '../lib/red/node';
import { registerNode } from '../lib/red/register';
import { readSettlement, SETTLE_ACTIONS } from '../lib/red/settlement';
import { Status } from '../lib/red/status';

const FIELDS = {
  action: choice(SETTLE_ACTIONS, { default: 'automatic' }),
  delaySeconds: number({ min: 0, max: 604_800 }),
  reason: text(),
};

/** contact-settle: settles by hand the delivery that a message carries. */
export default function contactSettle(RED: Red): void {
  registerNode(RED, 'contact-settle', (node: RuntimeNode, definition) => {
    const counts = { acknowledge: 0, retry: 0, 'dead-letter': 0, nothing: 0 };
    const status = new Status(RED, node, { details: () => ({ settled: { ...counts } }) });
    const config = readConfig(RED, node, definition, FIELDS);
    if (config.ok) status.set('idle');
    else status.cannotStart(config.error);
    onInput(node, async (message, send) => {
      if (!config.ok) throw config.error;
      const outcome: DeliveryOutcome = readSettlement(message, config.value);
      const settled = settleDelivery(message, outcome);
      counts[settled ? outcome.kind : 'nothing'] += 1;
      const count = counts.acknowledge + counts.retry + counts['dead-letter'];
      status.set('connected', { text: 'settled', values: { count } });
      send({ ...message, settled } as typeof message);
    });
  });
}
