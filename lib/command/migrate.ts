import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe } from '../core/errors';
import { type Addition, ORIGINAL_SERVICES, type OriginalService } from './original-services';
import { readParameters, type Terminal, UsageError } from './terminal';

/** How the command is called. */
export const usage = `contact-center migrate FILE          turns the .env file of one of the five services into that of its flow

Prints the new environment, secrets included, and on the standard error what differs. The service is recognized by its
variables; --flow NAME chooses it: ${ORIGINAL_SERVICES.map(({ flow }) => flow).join(', ')}.`;

/** The environment of a flow, made from that of the service it takes the place of. */
export interface Migration {
  service: OriginalService;
  /** What to set, in order. */
  environment: readonly [name: string, value: string][];
  /** What to do or to know, a sentence each. */
  notes: readonly string[];
}

/** Runs the command; the answer is the exit code. */
export async function run(parameters: string[], { output, errors }: Terminal): Promise<number> {
  const options = { flow: { type: 'string' } } as const;
  const { values, positionals } = readParameters(usage, { args: parameters, allowPositionals: true, options });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) throw new UsageError(usage);
  const { flow } = values;
  const original = readEnvironment(file);
  const services = ORIGINAL_SERVICES.filter((service) =>
    flow === undefined ? service.marks.some((mark) => mark in original) : service.flow === flow,
  );
  if (services.length === 0) {
    throw new UsageError(
      flow === undefined
        ? `${file} has no variable of the five services. If it is the right file, choose the flow with --flow.`
        : `There is no flow ${flow}: choose from ${ORIGINAL_SERVICES.map((each) => each.flow).join(', ')}.`,
    );
  }
  const migrations = services.map((service) => migrate(service, original));
  for (const { service, environment, notes } of migrations) {
    output.write(`# ${service.flow}, from ${service.title}\n`);
    for (const [name, value] of environment) output.write(`${name}=${quoted(value)}\n`);
    errors.write(`\n${service.flow}\n${notes.map((note) => `  - ${note}\n`).join('')}`);
  }
  const unknown = Object.keys(original).filter((name) => services.every(({ variables }) => !(name in variables)));
  if (unknown.length > 0) errors.write(`\nNo variables of the service: ${unknown.join(', ')}.\n`);
  return 0;
}

/** What becomes of the environment of a service. */
export function migrate(service: OriginalService, original: Readonly<Record<string, string | undefined>>): Migration {
  const environment = new Map<string, string>();
  const notes: string[] = [];
  for (const [name, { otherwise, name: newName = name, convert, dropped, note }] of Object.entries(service.variables)) {
    const before = original[name];
    const value = before ?? otherwise;
    if (value === undefined) continue;
    if (dropped !== undefined) {
      notes.push(`${name} is left out. ${dropped}`);
      continue;
    }
    const now = convert ? convert(value, original) : value;
    if (now === undefined || environment.has(newName)) continue;
    environment.set(newName, now);
    if (newName !== name) notes.push(`${name} is called ${newName} now.`);
    if (before === undefined) notes.push(`${newName} is set to what the service took without it.`);
    if (note !== undefined) notes.push(`${newName}: ${note}`);
  }
  for (const addition of service.additions) {
    if (environment.has(addition.name)) continue;
    environment.set(addition.name, addition.value);
    notes.push(sayAddition(addition));
  }
  return { service, environment: [...environment], notes: [...notes, ...service.differences] };
}

function sayAddition({ name, value, note }: Addition): string {
  return value === '' ? `Fill in ${name}: ${note}.` : `${name} is new: ${note}.`;
}

function readEnvironment(file: string): Record<string, string | undefined> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (thrown) {
    throw new UsageError(`${file} cannot be read: ${describe(thrown)}.`);
  }
  // Not in the first releases of Node 20.
  if (typeof parseEnv !== 'function') throw new UsageError('This command needs Node 20.12 or newer.');
  return parseEnv(text);
}

/** A value as Node, systemd and Docker Compose read it back. */
function quoted(value: string): string {
  if (/^[\w.:/@+,={}-]*$/.test(value)) return value;
  const mark = ["'", '"', '`'].find((each) => !value.includes(each)) ?? "'";
  return `${mark}${value}${mark}`;
}
