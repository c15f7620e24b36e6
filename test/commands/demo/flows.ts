import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mergeFlows } from '../../../lib/command/flows';
import { type FlowEntry, ROOT } from '../../services/node-red';

/** The five services, by the name under which `/stats` knows each, with the example that is its flow. */
export const SERVICES = {
  audiohook: 'audiohook-collector',
  cody2zoho: 'cody-to-zoho',
  ocelot: 'ocelot-events',
  calls: 'ari-call-api',
  messages: 'genesys-messages',
} as const;

/** The name of one of the five services. */
export type ServiceName = keyof typeof SERVICES;

/** The flow of a service. */
export function readFlow(service: ServiceName): FlowEntry[] {
  return JSON.parse(readFileSync(join(ROOT, 'examples', `${SERVICES[service]}.json`), 'utf8')) as FlowEntry[];
}

/** The flows of all services as one flow file. */
export function readAllFlows(): FlowEntry[] {
  return mergeFlows((Object.keys(SERVICES) as ServiceName[]).map(readFlow));
}

/** The tab of a service. */
export function tabOf(service: ServiceName): { id: string; label: string } {
  const tab = readFlow(service).find(({ type }) => type === 'tab');
  return { id: tab?.id ?? '', label: String(tab?.['label']) };
}

/** The ids of the inject nodes of a service that pass the test. */
export function buttonsOf(service: ServiceName, test: (entry: FlowEntry) => boolean): string[] {
  return readFlow(service)
    .filter((entry) => entry.type === 'inject' && test(entry))
    .map(({ id }) => id);
}
