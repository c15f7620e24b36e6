/** Resolves as soon as `condition` holds; rejects with `what` when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = 'the condition',
  limitMs = 10_000,
): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} was not met within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
