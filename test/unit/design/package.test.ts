import assert from 'node:assert/strict';
import { minVersion, satisfies } from 'semver';
import { manifest, readJson } from './checkout';

/** A package as package-lock.json describes it. */
interface LockedPackage {
  version?: string;
  resolved?: string;
  link?: boolean;
  dev?: boolean;
  devOptional?: boolean;
  optional?: boolean;
  inBundle?: boolean;
  optionalDependencies?: Record<string, string>;
  engines?: { node?: string };
}

const locked = Object.entries(readJson<{ packages: Record<string, LockedPackage> }>('package-lock.json').packages)
  .filter(([path]) => path !== '')
  .map(([path, details]) => ({ name: path.split('node_modules/').pop() ?? path, ...details }));
const production = locked.filter(({ dev, devOptional }) => !dev && !devOptional);
const direct = Object.entries(manifest.dependencies ?? {});

/** The lowest Node that the current Node-RED release accepts. */
const LOWEST_NODE_OF_NODE_RED_5 = '22.9.0';
/** A late release of each Node that the pack is made for. */
const NODES = ['20.19.0', '22.12.0', '24.0.0'];

// The rules of the Flow Library's own checker that can be looked at without the library; the numbers are its own.
describe('the scorecard of the Flow Library', () => {
  it('P01: has a license', () => assert.equal(manifest.license, 'MIT'));

  it('P03: says where its source and its issues are', () => assert.ok(manifest.repository && manifest.bugs));

  it('P04: has a scoped name', () => assert.match(manifest.name, /^@[\w-]+\/[\w-]+$/));

  it('P05: has the keyword node-red', () => assert.ok(manifest.keywords?.includes('node-red')));

  it('P06: is meant for the releases of Node-RED that it is tested with', () => {
    for (const release of ['4.1.0', '5.0.7'])
      assert.ok(satisfies(release, manifest['node-red'].version ?? ''), release);
  });

  it('P07: runs on the lowest Node that Node-RED runs on', () => {
    assert.ok(satisfies(LOWEST_NODE_OF_NODE_RED_5, manifest.engines?.node ?? ''));
  });

  it(`D01: has ${direct.length} production dependencies, where the checker advises 6: each has its reason in the design`, () => {
    assert.ok(direct.length <= 15);
  });

  it('D02: has no package in its tree that the checker knows as bad', () => {
    const bad = production.filter(
      ({ name, version }) => name === 'agent-base' && (minVersion(version ?? '')?.major ?? 0) < 6,
    );
    assert.deepEqual(bad, []);
  });
});

describe('the package', () => {
  it('brings no second Node-RED along', () => {
    const named = [...direct, ...Object.entries(manifest.peerDependencies ?? {})].map(([name]) => name);
    assert.deepEqual(
      named.filter((name) => /^(node-red|@node-red\/.*)$/.test(name)),
      [],
    );
    assert.deepEqual(
      production.filter(({ name }) => /^(node-red|@node-red\/.*)$/.test(name)),
      [],
    );
  });

  it('depends only on releases of a registry', () => {
    assert.deepEqual(
      direct.filter(([, range]) => /[/:]/.test(range)),
      [],
    );
    assert.deepEqual(
      locked.filter(({ link, version }) => link || !version),
      [],
    );
  });

  for (const node of NODES) {
    it(`can be installed on Node ${node} by a palette manager that is strict about engines`, () => {
      const refusing = production.filter(
        ({ optional, engines }) => !optional && !satisfies(node, engines?.node ?? '*'),
      );
      assert.deepEqual(refusing, []);
      assert.ok(satisfies(node, manifest.engines?.node ?? ''));
    });
  }

  it('is locked without the address of a registry, so that every registry will do', () => {
    assert.deepEqual(
      locked.filter(({ resolved }) => resolved !== undefined),
      [],
    );
  });

  // Without this npm ci refuses the lock file; npm leaves such a package out when its registry did not have it.
  it('is locked for every platform, not only for the one where the lock was made', () => {
    const names = new Set(locked.map(({ name }) => name));
    const wanted = locked
      .filter(({ inBundle }) => !inBundle)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies));
    assert.deepEqual(
      wanted.filter((name) => !names.has(name)),
      [],
    );
  });

  it('is locked as package.json asks for', () => {
    const root = readJson<{ packages: Record<string, Record<string, unknown>> }>('package-lock.json').packages[''];
    const wanted = readJson('package.json');
    for (const kind of ['dependencies', 'devDependencies', 'peerDependencies']) {
      assert.deepEqual(root?.[kind], wanted[kind], kind);
    }
  });
});
