// Settings of Node-RED where it runs as a service: everything comes from the environment. The log is one line of JSON
// for each event. A flows.json beside this file is what runs; without one it is that of the user directory, which the
// editor writes. There is an editor only when it has a user and a password.
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { handler } = require('@contactflow/node-red-contact-center/dist/lib/monitor/json-log');

const {
  PORT = '1880',
  HOST = '0.0.0.0',
  LOG_LEVEL = 'info',
  NODE_RED_CREDENTIAL_SECRET,
  EDITOR_USER,
  EDITOR_PASSWORD_HASH,
} = process.env;
const chosenFlows = join(__dirname, 'flows.json');
const users = [{ username: EDITOR_USER, password: EDITOR_PASSWORD_HASH, permissions: '*' }];

module.exports = {
  uiPort: Number(PORT),
  uiHost: HOST,
  flowFile: existsSync(chosenFlows) ? chosenFlows : 'flows.json',
  // Without one of your own Node-RED makes one and keeps it in the user directory.
  ...(NODE_RED_CREDENTIAL_SECRET ? { credentialSecret: NODE_RED_CREDENTIAL_SECRET } : {}),
  ...(EDITOR_USER && EDITOR_PASSWORD_HASH
    ? { adminAuth: { type: 'credentials', users } }
    : { httpAdminRoot: false, disableEditor: true }),
  logging: {
    console: { level: 'off', metrics: false, audit: false },
    json: { level: LOG_LEVEL || 'info', metrics: false, audit: false, handler },
  },
  diagnostics: { enabled: false },
  telemetry: { enabled: false },
  exportGlobalContextKeys: false,
  externalModules: { autoInstall: false },
  editorTheme: { tours: false, projects: { enabled: false } },
};
