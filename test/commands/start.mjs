// `npm start`: installs and builds what is missing, then runs the five flows in Node-RED, with traffic, against
// simulators of every system that the environment does not name. `npm start -- --check` waits until each flow has
// delivered something, and ends.
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { checkNode, giveUp, Obstacle, prepare } from './prepare.mjs';

const check = process.argv.includes('--check');
// A check must not disturb a demo that runs already: it takes any free port.
const port = Number(process.env.PORT || (check ? 0 : 1880));

try {
  checkNode();
  await mustBeFree(port);
  await prepare();
  // From here on TypeScript can be required as it is.
  const { register } = await import('tsx/cjs/api');
  register();
  const { demo } = createRequire(import.meta.url)('./demo/main.ts');
  process.exitCode = await demo({ port, check });
} catch (error) {
  giveUp(error);
}

function mustBeFree(port) {
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536)) {
    throw new Obstacle(`PORT must be the number of a port, such as 1880, not ${process.env.PORT}.`);
  }
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', ({ code, message }) => {
      const taken = `Port ${port} is taken: stop what uses it, or choose another one with the environment variable PORT.`;
      reject(new Obstacle(code === 'EADDRINUSE' ? taken : `Port ${port} cannot be used: ${message}.`));
    });
    probe.listen(port, '127.0.0.1', () => probe.close(resolve));
  });
}
