import assert from 'node:assert/strict';
import type { Locator } from 'playwright-core';

/** What text needs, by WCAG. */
const CONTRAST = 4.5;

/** Fails when the first text that `locator` finds stands out too little from what is behind it. */
export async function assertReadable(locator: Locator): Promise<void> {
  const [text, behind] = await locator.first().evaluate(coloursOf);
  const contrast = contrastOf(text as string, behind as string);
  assert.ok(contrast >= CONTRAST, `${locator}: ${text} on ${behind} is a contrast of ${contrast.toFixed(1)}`);
}

/** The colour of a text, and that of what is behind it, in the page. */
function coloursOf(element: Element): [string, string] {
  let behind = element;
  while (behind.parentElement && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') {
    behind = behind.parentElement;
  }
  return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
}

function contrastOf(one: string, other: string): number {
  const [darker, lighter] = [brightness(one), brightness(other)].toSorted((a, b) => a - b) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

/** The relative luminance of WCAG of a colour as the browser gives it, from 0 to 1. */
export function brightness(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [...colour.matchAll(/\d+/g)].map(([part]) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
