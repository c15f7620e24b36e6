/**
 * The topics in the text of a topics file: `{"topics": ["…"]}` or a bare array. Throws an error whose text says what
 * is wrong.
 */
export function parseTopicsFile(text: string): string[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
  const topics = Array.isArray(content) ? content : (content as { topics?: unknown } | null)?.topics;
  if (!Array.isArray(topics) || !topics.every((topic): topic is string => typeof topic === 'string')) {
    throw new Error('it must hold {"topics": ["…"]} or an array of topic names');
  }
  return topics;
}
