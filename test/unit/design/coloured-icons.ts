import { read, types } from './checkout';
import { readEditorHtml } from './editor-html';

/** So much of a node's colour is left: what is white on it in the palette has to be seen on a white page as well. */
const SHARE = 0.62;

/**
 * The icons of the README, by path: those of the palette are white and meant for a node of some colour, so each gets the
 * ground of its own node.
 */
export function colouredIcons(): Record<string, string> {
  const icons = types.flatMap((type) => {
    const { icon, color } = readEditorHtml(read(`nodes/${type}.html`)).texts;
    return icon && color ? [[`docs/icons/${type}.svg`, coloured(read(`icons/${icon}`), color)]] : [];
  });
  return Object.fromEntries(icons);
}

/** The palette's icons are 40 wide and 60 high, with the drawing in the middle. */
function coloured(icon: string, color: string): string {
  const darker = color.replace(/[0-9a-f]{2}/gi, (part) =>
    Math.round(Number.parseInt(part, 16) * SHARE)
      .toString(16)
      .padStart(2, '0'),
  );
  return icon.replace(
    /width="40" height="60" viewBox="0 0 40 60">/,
    `width="40" height="40" viewBox="-5 5 50 50">\n  <rect x="-5" y="5" width="50" height="50" rx="8" fill="${darker}"/>`,
  );
}
