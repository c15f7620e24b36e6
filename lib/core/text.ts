/**
 * Divides a text into parts of at most `limit` UTF-16 units, which together are the text again. A part ends before
 * something that `border` matches if it can, else after a line, else after a word, else anywhere, but never inside a
 * character.
 */
export function splitText(text: string, limit: number, border?: RegExp): string[] {
  if (limit < 2) throw new RangeError('A part must have room for a character.');
  const parts: string[] = [];
  let rest = text;
  while (rest.length > limit) {
    const end = cutAt(rest, limit, border);
    parts.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  if (rest !== '' || parts.length === 0) parts.push(rest);
  return parts;
}

/** The beginning of a text with at most `limit` UTF-16 units, cut as {@link splitText} does. */
export function cutText(text: string, limit: number, border?: RegExp): string {
  return splitText(text, limit, border)[0] as string;
}

/** A part of an address without its percent encoding. A percent sign that begins no code is meant as it stands. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function cutAt(text: string, limit: number, border: RegExp | undefined): number {
  // The border may begin right behind the limit.
  const window = text.slice(0, limit + 200);
  const atBorder = border && lastMatch(window, border, limit);
  if (atBorder) return atBorder;
  // A line or a word that ends in the first half would leave too much of the room unused.
  const line = text.lastIndexOf('\n', limit - 1) + 1;
  if (line > limit / 2) return line;
  const word = text.lastIndexOf(' ', limit - 1) + 1;
  if (word > limit / 2) return word;
  return isInsideCharacter(text, limit) ? limit - 1 : limit;
}

function lastMatch(text: string, border: RegExp, limit: number): number {
  let last = 0;
  for (const { index } of text.matchAll(new RegExp(border.source, `${border.flags.replace(/[gy]/g, '')}g`))) {
    if (index > limit) break;
    if (index > 0) last = index;
  }
  return last;
}

/** Whether a cut here would divide a character into its two halves. */
function isInsideCharacter(text: string, index: number): boolean {
  const before = text.charCodeAt(index - 1);
  const after = text.charCodeAt(index);
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}
