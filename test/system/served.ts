import assert from 'node:assert/strict';
import { type NodeRed, PACK_NAME } from '../services/node-red';
import { filesBelow, manifest, read, types } from '../unit/design/checkout';
import { readEditorHtml } from '../unit/design/editor-html';
import { readAllExamples } from '../unit/design/examples';

/** A node set, as `GET /nodes` describes it. */
interface NodeSet {
  module: string;
  types: string[];
  enabled: boolean;
  err?: unknown;
}

/** Checks that a Node-RED has loaded every node of the pack and gives the editor all that it asks for. */
export async function assertServed(nodeRed: NodeRed): Promise<void> {
  const sets = (await json<NodeSet[]>(nodeRed, '/nodes')).filter(({ module }) => module === PACK_NAME);
  assert.deepEqual(
    sets.filter(({ enabled, err }) => !enabled || err),
    [],
  );
  assert.deepEqual(sets.flatMap((set) => set.types).toSorted(), types.toSorted());

  const html = await (await nodeRed.request('/nodes', { headers: { Accept: 'text/html' } })).text();
  for (const type of types) {
    assert.ok(html.includes(`data-template-name="${type}"`), `the dialog of ${type}`);
    assert.ok(html.includes(`data-help-name="${type}"`), `the help of ${type}`);
    const texts = await json<Record<string, unknown>>(nodeRed, `/nodes/${PACK_NAME}/${type}/messages?lng=en-US`);
    assert.ok(texts[type], `the texts of ${type}`);
  }

  const icons = (await json<Record<string, string[]>>(nodeRed, '/icons'))[PACK_NAME] ?? [];
  const wanted = types.flatMap((type) => readEditorHtml(read(`nodes/${type}.html`)).texts['icon'] ?? []);
  assert.deepEqual(
    wanted.filter((icon) => !icons.includes(icon)),
    [],
  );
  for (const icon of icons) {
    const { status, headers } = await nodeRed.request(`/icons/${PACK_NAME}/${icon}`);
    assert.equal(`${status} ${headers.get('content-type')}`, '200 image/svg+xml');
  }

  for (const { path, entries } of readAllExamples()) {
    // The library leaves out the ending of a file in both its list and its addresses.
    const name = path.replace(/^examples\/|\.json$/g, '');
    const served = await json(nodeRed, `/library/examples/flows/${PACK_NAME}/${encodeURIComponent(name)}`);
    assert.deepEqual(served, entries, name);
  }
}

/** Checks that a Node-RED gives the editor what the pack adds to it besides nodes, and the files for that. */
export async function assertPluginsServed(nodeRed: NodeRed): Promise<void> {
  const html = await (await nodeRed.request('/plugins', { headers: { Accept: 'text/html' } })).text();
  for (const plugin of Object.keys(manifest['node-red'].plugins ?? {})) {
    assert.ok(html.includes(`registerPlugin('${plugin}'`), `the plugin ${plugin}`);
  }
  for (const path of filesBelow('resources', '')) {
    const answer = await nodeRed.request(`/${path.replace('resources', `resources/${PACK_NAME}`)}`);
    assert.equal(answer.status, 200, path);
    await answer.text();
  }
}

async function json<Content = unknown>(nodeRed: NodeRed, path: string): Promise<Content> {
  const answer = await nodeRed.request(path, { headers: { Accept: 'application/json' } });
  assert.equal(answer.status, 200, path);
  return (await answer.json()) as Content;
}
