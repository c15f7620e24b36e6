// Writes what is made from the code, the examples and the README: deploy/env/*.env.example and docs/migration.md.
//   node --import tsx test/commands/documents.ts
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../services/node-red';
import { filesBelow } from '../unit/design/checkout';
import { environmentFiles } from '../unit/design/environment';
import { migrationPage } from '../unit/design/migration-page';

for (const path of filesBelow('deploy/env', '.env.example')) rmSync(join(ROOT, path));
for (const [path, text] of Object.entries(environmentFiles())) writeFileSync(join(ROOT, path), text);
mkdirSync(join(ROOT, 'docs'), { recursive: true });
writeFileSync(join(ROOT, 'docs/migration.md'), migrationPage());
