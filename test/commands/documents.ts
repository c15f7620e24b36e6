// Writes what is made from the code, the examples and the README: deploy/env/*.env.example, docs/migration.md and
// docs/icons. The picture docs/flows.png is made by picture.ts.
//   node --import tsx test/commands/documents.ts
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../services/node-red';
import { filesBelow } from '../unit/design/checkout';
import { colouredIcons } from '../unit/design/coloured-icons';
import { environmentFiles } from '../unit/design/environment';
import { migrationPage } from '../unit/design/migration-page';

for (const path of [...filesBelow('deploy/env', '.env.example'), ...filesBelow('docs/icons', '.svg')]) {
  rmSync(join(ROOT, path));
}
mkdirSync(join(ROOT, 'docs/icons'), { recursive: true });
const made = { ...environmentFiles(), ...colouredIcons(), 'docs/migration.md': migrationPage() };
for (const [path, text] of Object.entries(made)) writeFileSync(join(ROOT, path), text);
