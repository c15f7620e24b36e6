#!/usr/bin/env node
import { describe } from '../core/errors';
import { type Terminal, UsageError } from './terminal';

/** A command of the package; its file is loaded when it is called. */
interface Command {
  usage: string;
  run(parameters: string[], terminal: Terminal): Promise<number>;
}

const COMMANDS: Record<string, () => Command> = {
  flows: () => require('./flows') as Command,
  migrate: () => require('./migrate') as Command,
  user: () => require('./user') as Command,
  'zoho-token': () => require('./zoho-token') as Command,
};

/** Runs a command; the answer is the exit code. */
export async function main(parameters: string[], terminal: Terminal): Promise<number> {
  const [name = '', ...rest] = parameters;
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  try {
    if (!load) {
      throw new UsageError(
        Object.values(COMMANDS)
          .map((each) => each().usage)
          .join('\n\n'),
      );
    }
    return await load().run(rest, terminal);
  } catch (thrown) {
    terminal.errors.write(`${describe(thrown)}\n`);
    return thrown instanceof UsageError ? 2 : 1;
  }
}

if (require.main === module) {
  const { stdin: input, stdout: output, stderr: errors, env: environment } = process;
  void main(process.argv.slice(2), { input, output, errors, environment }).then((code) => {
    process.exitCode = code;
  });
}
