import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../core/version';

/** The languages of the page, the default first. */
export const PAGE_LANGUAGES = ['en-US', 'de'] as const;

/** A language of the page. */
export type PageLanguage = (typeof PAGE_LANGUAGES)[number];

const pages = new Map<PageLanguage, string>();

/**
 * The page that a browser gets at `/health`: the live view without its buttons. It holds all that it needs, and asks
 * its own address with `?view=live` for each frame.
 */
export function healthPage(language: PageLanguage): string {
  const page = pages.get(language) ?? makePage(language);
  pages.set(language, page);
  return page;
}

function makePage(language: PageLanguage): string {
  const { live, status } = textsOf(language);
  const inScript = (value: unknown) => JSON.stringify(value).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="${language.slice(0, 2)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${live.title}</title>
<style>${resource('live.css')}</style>
</head>
<body class="contact-live-page">
<h1>${live.title}</h1>
<main id="live"></main>
<noscript>${live.noScript}</noscript>
<script type="module">
${inlined('charts.mjs')}
${inlined('live.mjs')}
openPage(document.getElementById('live'), ${inScript({ ...live, state: status })});
</script>
</body>
</html>
`;
}

interface Texts {
  live: { title: string; noScript: string };
  status: Record<string, string>;
}

function textsOf(language: PageLanguage): Texts {
  const folder = join(__dirname, '../../nodes/locales', language);
  const catalogue = JSON.parse(readFileSync(join(folder, 'contact-monitor.json'), 'utf8'));
  return (catalogue as { 'contact-monitor': Texts })['contact-monitor'];
}

/** A module of the editor as part of a script that holds all modules. */
function inlined(name: string): string {
  return resource(name)
    .replace(/^import .*\n/gm, '')
    .replace(/^export /gm, '');
}

function resource(name: string): string {
  return readFileSync(join(packageRoot, 'resources', name), 'utf8');
}
