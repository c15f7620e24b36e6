/** Whether a routing key fits the binding key of a topic exchange: `*` is one word, `#` any number of words. */
export function topicMatches(bindingKey: string, routingKey: string): boolean {
  return matches(bindingKey.split('.'), 0, routingKey.split('.'), 0);
}

function matches(pattern: string[], p: number, words: string[], w: number): boolean {
  if (p === pattern.length) return w === words.length;
  const part = pattern[p];
  if (part === '#') {
    for (let next = w; next <= words.length; next += 1) {
      if (matches(pattern, p + 1, words, next)) return true;
    }
    return false;
  }
  return w < words.length && (part === '*' || part === words[w]) && matches(pattern, p + 1, words, w + 1);
}
