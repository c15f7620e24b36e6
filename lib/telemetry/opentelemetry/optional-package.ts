import { ContactError, describe } from '../../core/errors';

/** A package that only those install who switch on what needs it. */
export interface OptionalPackage {
  name: string;
  /** What it takes to have it, as the arguments of `npm install`. */
  install: string;
  /** What needs it, to end the sentence "Could not …". */
  attempted: string;
}

/**
 * What `load` gives: a `require` with the name written out. When the package is not there it throws one sentence that
 * says how to get it.
 */
export function optionalPackage<Module>({ name, install, attempted }: OptionalPackage, load: () => unknown): Module {
  try {
    return load() as Module;
  } catch (thrown) {
    const isMissing = (thrown as { code?: unknown }).code === 'MODULE_NOT_FOUND';
    throw new ContactError('CONFIGURATION', {
      attempted,
      answer: isMissing ? `the package ${name} is not installed` : `the package ${name} fails: ${describe(thrown)}`,
      advice: `In the user directory of Node-RED (usually ~/.node-red) run "npm install ${install}", then start Node-RED anew.`,
    });
  }
}
