import { notFound } from '../answers';
import type { IntegrationOptions, Organization } from '../organization';
import type { ApiRequest } from '../server';

/** An Open Messaging integration and where it belongs. */
export interface Integration extends IntegrationOptions {
  readonly organization: Organization;
}

/** The integrations of all organizations. */
export class Integrations {
  private readonly byId = new Map<string, Integration>();

  constructor(organizations: readonly (Organization & { integrations?: readonly IntegrationOptions[] })[]) {
    for (const { id, name, integrations = [] } of organizations) {
      for (const integration of integrations) {
        this.byId.set(integration.id, { ...integration, organization: { id, name } });
      }
    }
  }

  /** An integration of the caller's organization; anyone else's is not there. */
  of({ token }: ApiRequest, id: unknown): Integration {
    const found = typeof id === 'string' ? this.byId.get(id) : undefined;
    if (found?.organization.id !== token.client.organization.id) throw notFound('Integration not found.');
    return found;
  }

  /** Any integration; throws for an unknown one. */
  get(id: string): Integration {
    const found = this.byId.get(id);
    if (!found) throw new Error(`The simulator has no integration ${id}`);
    return found;
  }

  /** Changes where an integration posts to, and how it signs. */
  set(id: string, change: Omit<IntegrationOptions, 'id'>): void {
    Object.assign(this.get(id), change);
  }
}
