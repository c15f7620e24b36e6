// `npm run bench` measures what the pack does against what there is otherwise; `npm run bench -- es-bulk-out` measures
// only that. `--rounds 15` changes how often each contender runs, `--profile` has every measured process write a CPU
// profile. The figures are printed and written to .work/bench/<name>.json. Nothing fails for being slow, but a run
// that loses or doubles anything does. `npm run bench -- soak --minutes 10` runs what takes hours otherwise; it only
// runs when it is named. Installs and builds what is missing.
import { createRequire } from 'node:module';
import { giveUp, prepare } from '../commands/prepare.mjs';

try {
  await prepare();
  // From here on TypeScript can be required as it is.
  const { register } = await import('tsx/cjs/api');
  register();
  const { main } = createRequire(import.meta.url)('./harness/main.ts');
  await main(process.argv.slice(2));
} catch (error) {
  giveUp(error);
}
