import { SERVICES, type ServiceName, tabOf } from './flows';
import type { Progress } from './progress';
import type { RunningSystem } from './systems';
import type { Traffic } from './traffic';

/** What the screen tells. */
export interface ScreenFacts {
  /** Where Node-RED answers, without a slash at the end. */
  url: string;
  systems: readonly RunningSystem[];
  traffic: readonly Traffic[];
  /** How to get a token of the call API, in words. */
  apiUser: string;
  monitorToken: string;
}

/** The one screen of `npm start`: where to look, what happens in each flow, and what is real. */
export function screen({ url, systems, traffic, apiUser, monitorToken }: ScreenFacts): string {
  const rows = (cells: string[][]) => {
    const widths = [0, 1].map((column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
    return cells.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('   ')}`.trimEnd());
  };
  return [
    '',
    ...rows([
      ['Editor', `${url}/`, 'its sidebar has the tab "Contact center": everything live'],
      ['Health', `${url}/health`, 'the same without the editor; also /stats and /metrics'],
      ['API docs', `${url}/docs`, apiUser],
      ['Logs', `${url}/logs`, `curl -H "Authorization: Bearer ${monitorToken}"`],
    ]),
    '',
    ...rows([
      ['Flow', 'Traffic', 'In the editor'],
      ...traffic.map(({ service, what }) => {
        const { id, label } = tabOf(service);
        return [label, what, `${url}/#flow/${id}`];
      }),
    ]),
    '',
    ...rows([
      ['System', 'Now', 'A real one is used with'],
      ...systems.map(({ name, provision, variable, look }) => [
        name,
        provision,
        provision === 'real' ? `${variable}, as it is` : `${variable}${look ? `; this one: ${look}` : ''}`,
      ]),
    ]),
    '',
    'Ctrl-C stops everything. The flows are laid out anew at each start.',
  ].join('\n');
}

/** How the flows stand, in one line that fits 80 columns for a good while. */
export function progressLine({ delivered, health }: Progress): string {
  const counts = Object.keys(SERVICES).map((service) => `${service} ${delivered[service as ServiceName]}`);
  return `${health}: ${counts.join(' · ')} delivered`;
}
