// `npm start`: installs and builds what is missing, then runs the examples in Node-RED, against simulators of every
// system that the environment does not name. `npm start -- --check` waits until documents arrive, and ends.
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { giveUp, Obstacle, prepare } from './prepare.mjs';

const check = process.argv.includes('--check');
// A check must not disturb a demo that runs already: it takes any free port.
const port = Number(process.env.PORT ?? (check ? 0 : 1880));

try {
  await mustBeFree(port);
  prepare();
  // From here on TypeScript can be required as it is.
  const { register } = await import('tsx/cjs/api');
  register();
  const { demo } = createRequire(import.meta.url)('./demo.ts');
  process.exitCode = await demo({ port, check });
} catch (error) {
  giveUp(error);
}

function mustBeFree(port) {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', ({ code, message }) => {
      const taken = `Port ${port} is taken: stop what uses it, or choose another one with the environment variable PORT.`;
      reject(new Obstacle(code === 'EADDRINUSE' ? taken : `Port ${port} cannot be used: ${message}.`));
    });
    probe.listen(port, '127.0.0.1', () => probe.close(resolve));
  });
}
