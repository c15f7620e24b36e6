import { createInterface } from 'node:readline';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { describe } from '../core/errors';

/** Where a command reads from and writes to. */
export interface Terminal {
  input: NodeJS.ReadableStream & { isTTY?: boolean };
  output: NodeJS.WritableStream;
  errors: NodeJS.WritableStream;
  environment: NodeJS.ProcessEnv;
}

/** A mistake in how a command was called: its text is shown without a stack. */
export class UsageError extends Error {}

/**
 * Reads the parameters of a command. Throws {@link UsageError}, with `usage` at its end, for one that `config` does not
 * know.
 */
export function readParameters<const Config extends ParseArgsConfig>(
  usage: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config);
  } catch (thrown) {
    throw new UsageError(`${describe(thrown)}\n\n${usage}`);
  }
}

/** Reads a secret: at a terminal it is asked for without being shown, otherwise the first line of the input is taken. */
export async function readSecret(terminal: Terminal, question: string): Promise<string> {
  const { input, errors } = terminal;
  if (!input.isTTY) {
    for await (const line of createInterface({ input })) return line;
    throw new UsageError('There is no password in the standard input.');
  }
  errors.write(question);
  const lines = createInterface({ input, terminal: true, output: undefined as never });
  const answer = await new Promise<string>((resolve) => lines.question('', resolve));
  lines.close();
  errors.write('\n');
  return answer;
}
