import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { SkippableSuite } from '../commands/reporter';
import { findAsterisk } from './asterisk';
import { installNodeRed5, nodeRed5Installed } from './node-red-5';
import { findPostgresql } from './postgresql';
import { findProgram } from './programs';
import { findRabbitMq } from './rabbitmq';
import { findRedis } from './redis';

/** What a suite may need that is not in this checkout. */
export type Service =
  | 'chromium'
  | 'elasticsearch'
  | 'npm registry'
  | 'node-red 5'
  | 'postgresql'
  | 'redis'
  | 'asterisk'
  | 'rabbitmq'
  | 'prometheus'
  | 'shellcheck'
  | 'systemd';

interface Requirement {
  /** Where it is: a path or an address; undefined when it is not there. */
  find(): string | undefined | Promise<string | undefined>;
  /** Whether a machine that tests everything (`REQUIRE_SERVICES=1`) must have it. */
  required: boolean;
  /** The reason for a skip, and what would change it. */
  absent: string;
}

const REQUIREMENTS: Record<Service, Requirement> = {
  chromium: {
    find: findChromium,
    required: true,
    absent: 'Chromium is not installed: run test/services/up as root on Debian, or set CHROMIUM to its path.',
  },
  elasticsearch: {
    find: () => process.env['ELASTICSEARCH_URL'] || undefined,
    required: false,
    absent: 'ELASTICSEARCH_URL is not set: set it to the address of an Elasticsearch that may be written to.',
  },
  'npm registry': {
    find: findRegistry,
    required: true,
    absent: 'The npm registry cannot be reached: connect this machine.',
  },
  'node-red 5': {
    find: () => findNodeRed5(requireServices()),
    required: true,
    absent: 'Node-RED 5 is not installed: set REQUIRE_SERVICES=1 to have it installed into .work.',
  },
  asterisk: {
    find: () => findAsterisk(requireServices()),
    required: true,
    absent: 'Asterisk and SIPp are not there: run test/services/asterisk/install on Debian.',
  },
  postgresql: {
    find: findPostgresql,
    required: true,
    absent:
      'PostgreSQL is not installed: run test/services/up as root on Debian, or set POSTGRESQL_BIN to its programs.',
  },
  // The tests start servers of their own, which they kill.
  redis: {
    find: findRedis,
    required: true,
    absent: 'redis-server is not installed: run test/services/up as root on Debian, or set REDIS_SERVER to its path.',
  },
  rabbitmq: {
    find: findRabbitMq,
    required: true,
    absent: 'RabbitMQ is not installed: run test/services/up as root on Debian, or set RABBITMQ_SCRIPTS to its folder.',
  },
  // The programs prometheus and promtool come together.
  prometheus: {
    find: () => findProgram('promtool', 'PROMTOOL'),
    required: true,
    absent:
      'Prometheus is not installed: run test/services/up as root on Debian, or set PROMTOOL to the path of promtool.',
  },
  shellcheck: {
    find: () => findProgram('shellcheck', 'SHELLCHECK'),
    required: true,
    absent: 'shellcheck is not installed: run test/services/up as root on Debian, or set SHELLCHECK to its path.',
  },
  // Its checks run without it being the first process.
  systemd: {
    find: () => findProgram('systemd-analyze', 'SYSTEMD_ANALYZE'),
    required: true,
    absent:
      'systemd-analyze is not installed: run test/services/up as root on Debian, or set SYSTEMD_ANALYZE to its path.',
  },
};

/** What becomes of a suite: it runs, is skipped with a reason, or fails with it. */
export type Decision = { action: 'run'; location: string } | { action: 'skip' | 'fail'; reason: string };

/** The rule: what is there is used; what is missing is a skip with a reason, and a failure where it is required. */
export function decide(
  location: string | undefined,
  { required, absent }: Pick<Requirement, 'required' | 'absent'>,
  everythingRequired: boolean,
): Decision {
  if (location !== undefined) return { action: 'run', location };
  return { action: required && everythingRequired ? 'fail' : 'skip', reason: absent };
}

/**
 * To be called first inside a `describe`: its tests run only where the service is there. The answer gives the
 * service's path or address to the tests.
 */
export function requireService(service: Service): { readonly location: string } {
  const requirement = REQUIREMENTS[service];
  let location: string | undefined;
  before(`finds ${service}`, async function () {
    this.timeout(INSTALL_WITHIN_MS);
    const decision = decide(await requirement.find(), requirement, requireServices());
    if (decision.action === 'run') {
      location = decision.location;
    } else if (decision.action === 'skip') {
      const suite: SkippableSuite | undefined = this.test?.parent;
      if (suite) suite.skipReason = decision.reason;
      this.skip();
    } else {
      throw new Error(decision.reason);
    }
  });
  return {
    get location() {
      if (location === undefined) throw new Error(`${service} is known only while the tests run.`);
      return location;
    },
  };
}

/**
 * How often something is done: `usually`, or `thorough` times when `THOROUGH=1` asks for the full proof, which takes
 * longer than a gate may.
 */
export function repetitions(usually: number, thorough: number): number {
  return process.env['THOROUGH'] === '1' ? thorough : usually;
}

const INSTALL_WITHIN_MS = 5 * 60_000;

function requireServices(): boolean {
  return process.env['REQUIRE_SERVICES'] === '1';
}

/** The path of a Chromium, where there is one. */
export function findChromium(): string | undefined {
  const usual = [
    process.env['CHROMIUM'],
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/snap/bin/chromium',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  ];
  return usual.find((path) => path && existsSync(path));
}

async function findRegistry(): Promise<string | undefined> {
  try {
    await promisify(execFile)('npm', ['view', 'ws', 'version', '--prefer-online', '--fetch-retries=1'], {
      shell: process.platform === 'win32',
    });
    return 'npm registry';
  } catch {
    return undefined;
  }
}

async function findNodeRed5(mayInstall: boolean): Promise<string | undefined> {
  if (!nodeRed5Installed() && mayInstall) await installNodeRed5();
  return nodeRed5Installed() ? '5' : undefined;
}
