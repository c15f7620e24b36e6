import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { mergeFlows } from '../../../lib/command/flows';
import { type FlowEntry, ROOT } from '../../services/node-red';
import { read, types } from './checkout';
import { environmentNames, readAllExamples, readSmallExamples } from './examples';

const SECRET_NAME = /pass(word|phrase)?$|secret$|token$|apikey$|credential/i;

describe('the examples', () => {
  it('show every type of the pack', () => {
    const shown = new Set(readAllExamples().flatMap(({ entries }) => entries.map(({ type }) => type)));
    assert.deepEqual(
      types.filter((type) => !shown.has(type)),
      [],
    );
  });

  it('can all be deployed together', () => {
    const merged = mergeFlows(readAllExamples().map(({ entries }) => entries));
    assert.equal(new Set(merged.map(({ id }) => id)).size, merged.length);
  });
});

for (const { path, entries } of readAllExamples()) {
  describe(path, () => {
    const byId = new Map(entries.map((entry) => [entry.id, entry]));
    const ofType = (type: string) => entries.filter((entry) => entry.type === type);

    it('has ids of its own', () => assert.equal(byId.size, entries.length));

    it('has only wires that lead to a node on the same tab, and configuration nodes that are there', () => {
      const broken = entries.flatMap((entry) => {
        const targets = ((entry['wires'] ?? []) as string[][]).flat();
        return targets.filter((id) => byId.get(id)?.z !== entry.z).map((id) => `${entry.id} -> ${id}`);
      });
      assert.deepEqual(broken, []);
      const homeless = entries.filter(({ z }) => z !== undefined && z !== '' && !byId.has(z));
      assert.deepEqual(homeless, []);
    });

    it('holds no secret', () => {
      assert.deepEqual(secretsIn(entries), []);
    });

    it('explains itself: on its tab and in a comment', () => {
      const tabs = ofType('tab');
      assert.ok(tabs.length > 0);
      for (const tab of tabs) assert.ok(String(tab['info'] ?? '').length > 40, `the tab ${tab['label']} has no text`);
      assert.ok(ofType('comment').length > 0);
    });

    it('shows its failures: Catch and Status nodes lead to a debug node', () => {
      for (const type of ['catch', 'status']) {
        const nodes = ofType(type);
        assert.ok(nodes.length > 0, `no ${type} node`);
        assert.ok(
          nodes.some(({ id }) => reaches(id, 'debug', byId)),
          `no ${type} node leads to a debug node`,
        );
      }
    });

    it('uses only environment variables that the README explains', () => {
      const readme = existsSync(join(ROOT, 'README.md')) ? read('README.md') : undefined;
      const unexplained = environmentNames(entries).filter((name) => readme?.includes(name) === false);
      assert.deepEqual(unexplained, []);
    });
  });
}

for (const { path, entries } of readSmallExamples()) {
  const type = path.slice('examples/nodes/'.length, -'.json'.length);
  describe(`the small example of ${type}`, () => {
    const own = entries.filter((entry) => entry.type === type).map(({ id }) => id);
    const byId = new Map(entries.map((entry) => [entry.id, entry]));
    const buttons = entries.filter((entry) => entry.type === 'inject');

    it('is about that node, and fits onto one tab', () => {
      assert.ok(own.length > 0);
      assert.equal(entries.filter((entry) => entry.type === 'tab').length, 1);
      assert.ok(entries.length <= 35, `${entries.length} entries`);
    });

    it('has buttons for a good and a bad case, which its comment explains', () => {
      const info = String(entries.find((entry) => entry.type === 'comment')?.['info'] ?? '');
      assert.ok(buttons.length >= 2);
      assert.deepEqual(
        buttons.map(({ name }) => String(name)).filter((name) => !info.includes(`*${name}*`)),
        [],
      );
    });

    it('shows in the debug sidebar what each of its outputs gives', () => {
      const silent = own.filter(
        (id) => (byId.get(id)?.['wires'] as string[][] | undefined)?.length !== 0 && !reaches(id, 'debug', byId),
      );
      assert.deepEqual(silent, []);
    });

    it('has every node in a group, and no two at one place', () => {
      const placed = entries.filter(({ z, type: kind }) => z && kind !== 'group' && kind !== 'comment');
      assert.deepEqual(
        placed.filter(({ g }) => byId.get(String(g))?.type !== 'group').map(({ id }) => id),
        [],
      );
      assert.equal(new Set(placed.map(({ x, y }) => `${x} ${y}`)).size, placed.length);
    });
  });
}

/** What must not be in an example: a `credentials` member, or a text under the name of a secret. */
function secretsIn(entries: readonly FlowEntry[]): string[] {
  return entries.flatMap((entry) =>
    Object.entries(entry)
      .filter(([name, value]) => {
        if (name === 'credentials') return true;
        return SECRET_NAME.test(name) && typeof value === 'string' && value !== '' && !/^\$\{\w+\}$/.test(value);
      })
      .map(([name]) => `${entry.id}.${name}`),
  );
}

function reaches(id: string, type: string, byId: Map<string, FlowEntry>, seen = new Set<string>()): boolean {
  const entry = byId.get(id);
  if (!entry || seen.has(id)) return false;
  seen.add(id);
  const targets = ((entry['wires'] ?? []) as string[][]).flat();
  return entry.type === type || targets.some((target) => reaches(target, type, byId, seen));
}
