// Writes deploy/env/*.env.example from the README and the examples: node --import tsx test/commands/environment.ts
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../services/node-red';
import { filesBelow } from '../unit/design/checkout';
import { environmentFiles } from '../unit/design/environment';

for (const path of filesBelow('deploy/env', '.env.example')) rmSync(join(ROOT, path));
for (const [path, text] of Object.entries(environmentFiles())) writeFileSync(join(ROOT, path), text);
