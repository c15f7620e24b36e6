/** Takes variables out of the environment for a test; gives back the function that puts them there again. */
export function withoutVariables(names: readonly string[]): () => void {
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
