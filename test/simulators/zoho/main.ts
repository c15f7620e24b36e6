import { runAsProcess } from '../api/process';
import { startZohoSimulator, type ZohoSimulator } from './index';

runAsProcess<ZohoSimulator>(startZohoSimulator, {
  /** How many Cases there are, of how many conversations, and the calls of the CRM API so far. */
  state: ({ cases, api }) => ({
    cases: cases.length,
    conversations: new Set(cases.map(({ fields }) => fields['Cody_Conversation_ID'])).size,
    calls: Object.entries(api.counts).reduce((sum, [name, count]) => sum + (name.includes('/crm/') ? count : 0), 0),
  }),
});
