import { runAsProcess } from '../api/process';
import { type CodySimulator, startCodySimulator } from './index';

runAsProcess<CodySimulator>(startCodySimulator, {
  /** `{count, agoMs}`: conversations that have been silent for so long. */
  chat: (cody, { count, agoMs }) => {
    const createdAt = Date.now() - Number(agoMs ?? 0);
    for (let number = 0; number < Number(count ?? 1); number++) cody.chat({ createdAt });
  },
  calls: (cody) => cody.calls,
});
