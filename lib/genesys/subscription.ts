/** A topic that Genesys does not let the client subscribe. */
export interface RejectedTopic {
  id: string;
  reason: string;
  missingPermissions: string[];
}

/** How many topics a sentence names. */
const NAMED = 3;

/** The topics that were rejected, from the answer to a subscription with `ignoreErrors=true`. */
export function readRejected(answer: unknown): RejectedTopic[] {
  const entities = (answer as { entities?: unknown } | undefined)?.entities;
  if (!Array.isArray(entities)) return [];
  return entities
    .filter((entity) => entity?.state === 'Rejected')
    .map(({ id, rejectionReason, missingPermissions }) => ({
      id: String(id),
      reason: String(rejectionReason ?? 'rejected'),
      missingPermissions: Array.isArray(missingPermissions) ? missingPermissions.map(String) : [],
    }));
}

/** One sentence about rejected topics, with the permissions that would help. */
export function rejectionText(rejected: readonly RejectedTopic[]): string {
  const permissions = [...new Set(rejected.flatMap(({ missingPermissions }) => missingPermissions))];
  const reasons = [...new Set(rejected.map(({ reason }) => reason))].join(' ');
  const names = rejected.slice(0, NAMED).map(({ id }) => id);
  const more = rejected.length > NAMED ? ` and ${rejected.length - NAMED} more` : '';
  const missing = permissions.length > 0 ? ` The OAuth client lacks: ${permissions.join(', ')}.` : '';
  return `Genesys does not let the client subscribe ${names.join(', ')}${more}: ${reasons}${missing}`;
}
