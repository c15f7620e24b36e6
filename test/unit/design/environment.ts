import { read } from './checkout';
import { environmentNames, readExamples } from './examples';

/** What the README says about an environment variable. */
export interface Variable {
  name: string;
  /** What holds without it: a value, or nothing when the README describes it in words. */
  defaultValue: string | undefined;
  /** The README's own words about the default. */
  defaultText: string;
  meaning: string;
  /** The value in the list of what an example must be told, with `...` for what only the user knows. */
  sample: string | undefined;
}

/** The title of the file with what belongs to Node-RED and to every service. */
const COMMON = 'node-red';

/**
 * The files `deploy/env/<example>.env.example`, by path. An example's flow tells which variables it reads, and the
 * README what they mean; what every example reads, or none, is for the process as a whole.
 */
export function environmentFiles(): Record<string, string> {
  const variables = readVariables(read('README.md'));
  const examples = readExamples().map(({ path, entries }) => ({
    name: path.replace(/^examples\/|\.json$/g, ''),
    names: new Set(environmentNames(entries)),
  }));
  const users = (name: string) => examples.filter(({ names }) => names.has(name)).length;
  const isCommon = (name: string) => users(name) === 0 || users(name) === examples.length;
  const files = examples.map(({ name, names }) => ({
    name,
    chosen: variables.filter((variable) => names.has(variable.name) && !isCommon(variable.name)),
  }));
  files.push({ name: COMMON, chosen: variables.filter((variable) => isCommon(variable.name)) });
  return Object.fromEntries(
    files.map(({ name, chosen }) => [`deploy/env/${name}.env.example`, fileText(name, chosen)]),
  );
}

/** The variables of the tables `Name | Default | Meaning` and of the lists under "set", in their order. */
export function readVariables(readme: string): Variable[] {
  const samples = new Map(
    [...readme.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', rest = '']) => [name, sampleOf(rest)]),
  );
  const variables = new Map<string, Variable>();
  for (const [, table = ''] of readme.matchAll(/^\| Name +\| Default +\| Meaning +\|\n\|[-| ]+\|\n((?:\|.*\|\n)+)/gm)) {
    for (const row of table.trim().split('\n')) {
      const [names = '', defaultText = '', meaning = ''] = row
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim());
      const defaultValue = /^`(.*)`$/.exec(defaultText)?.[1];
      for (const [, name = ''] of names.matchAll(/`([A-Z][A-Z0-9_]*)`/g)) {
        if (variables.has(name)) throw new Error(`The README explains ${name} twice.`);
        variables.set(name, { name, defaultValue, defaultText, meaning, sample: samples.get(name) });
      }
    }
  }
  return [...variables.values()];
}

/** `...` stands for what the user knows; a comment behind the value is for the README alone. */
function sampleOf(text: string): string {
  const value = text.replace(/\s+#.*$/, '');
  if (!value.includes('...')) return value;
  return value.startsWith("'") ? "''" : '';
}

function fileText(name: string, variables: readonly Variable[]): string {
  const subject = name === COMMON ? 'Node-RED and all services' : `the flow ${name}`;
  const entries = variables.map(({ name: variable, defaultValue, defaultText, meaning, sample }) => {
    const line = sample === undefined ? `#${variable}=${defaultValue ?? ''}` : `${variable}=${sample}`;
    const otherwise = defaultValue === undefined && defaultText !== '' ? `Default: ${defaultText}` : '';
    const comment = [meaning, otherwise]
      .filter((part) => part !== '')
      .join('. ')
      .replaceAll('`', '');
    return comment === '' ? `${line}\n` : `# ${comment}\n${line}\n`;
  });
  const head = [
    `# Environment of ${subject}. A line with # in front holds the default.`,
    '# What stands in several of these files must be the same in each that you use.',
    '',
  ];
  return [head.join('\n'), ...entries].join('\n');
}
