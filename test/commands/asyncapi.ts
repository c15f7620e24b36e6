// Writes lib/ocelot/asyncapi.json from the schemas of the events: node --import tsx test/commands/asyncapi.ts
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asyncApiDocument } from '../../lib/ocelot/asyncapi';
import { ROOT } from '../services/node-red';

writeFileSync(join(ROOT, 'lib/ocelot/asyncapi.json'), `${JSON.stringify(asyncApiDocument(), undefined, 2)}\n`);
