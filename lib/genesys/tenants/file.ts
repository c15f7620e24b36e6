import { asObject } from '../../core/answers';
import { ContactError, toContactError } from '../../core/errors';
import { type Logger, silentLogger } from '../../core/log';
import { WatchedFile } from '../../core/watched-file';
import { type TenantDirectory, type TenantEntry, TenantTable } from './directory';
import { type Environment, type OrganizationChoice, readTenant, type TenantOrganization } from './tenant';

/** What {@link readTenants} has found. */
export interface TenantsRead {
  entries: Map<string, TenantEntry>;
  /** What is wrong with single tenants, in one sentence each. */
  problems: string[];
}

/** Reads a table `{"tenants": {"<tenantId>": {...}}}`. One bad tenant does not spoil the others. Throws `CONFIGURATION`. */
export function readTenants(text: string, environment: Environment): TenantsRead {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unreadable('it is no JSON');
  }
  const tenants = asObject(asObject(value)?.['tenants']);
  if (!tenants) {
    throw unreadable('it is not of the form {"tenants": {"<tenantId>": {"organizations": {...}}}}');
  }
  const entries = new Map<string, TenantEntry>();
  const problems: string[] = [];
  for (const [tenantId, given] of Object.entries(tenants)) {
    try {
      entries.set(tenantId, readTenant(tenantId, given, environment));
    } catch (thrown) {
      const error = toContactError(thrown, `use the tenant ${tenantId}`);
      entries.set(tenantId, error);
      problems.push(error.summary);
    }
  }
  return { entries, problems };
}

function unreadable(answer: string): ContactError {
  return new ContactError('CONFIGURATION', { attempted: 'read the tenants', answer, advice: 'Correct it.' });
}

/** Settings of a {@link FileDirectory}. */
export interface FileDirectoryOptions {
  /** Absolute. */
  path: string;
  environment: Environment;
  logger?: Logger;
}

/** The tenants of a file that is read again when it changes. What was good before stays in use while it is not. */
export class FileDirectory implements TenantDirectory {
  private readonly file: WatchedFile<TenantsRead>;
  private readonly table: TenantTable;
  private readonly logger: Logger;
  private readonly listeners = new Set<() => void>();
  private readonly opened: Promise<void>;
  private tenantProblems: string[] = [];

  constructor({ path, environment, logger = silentLogger }: FileDirectoryOptions) {
    this.logger = logger;
    this.table = new TenantTable(new Map(), path);
    this.file = new WatchedFile({
      path,
      parse: (text) => readTenants(text, environment),
      onChange: (read) => this.take(read),
      onProblem: (problem) => {
        if (problem) this.logger.warn(problem);
        this.tell();
      },
    });
    this.opened = this.file.open().then(() => {
      if (this.file.value) this.take(this.file.value);
    });
  }

  get problem(): string | undefined {
    return this.file.problem ?? (this.tenantProblems.join('; ') || undefined);
  }

  get size(): number {
    return this.table.size;
  }

  async find(tenantId: string, choice: OrganizationChoice): Promise<TenantOrganization> {
    await this.opened;
    if (this.file.value === undefined) {
      throw new ContactError('CONFIGURATION', {
        attempted: `find the tenant ${tenantId}`,
        answer: this.file.problem ?? 'the file of tenants has not been read',
        // The file may be put right while the message waits.
        retryable: true,
      });
    }
    return this.table.find(tenantId, choice);
  }

  ofIntegration(integrationId: string): TenantOrganization | undefined {
    return this.table.ofIntegration(integrationId);
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  close(): void {
    this.listeners.clear();
    this.file.close();
  }

  private take({ entries, problems }: TenantsRead): void {
    this.tenantProblems = problems;
    for (const problem of problems) this.logger.warn(problem);
    this.table.replace(entries);
    this.tell();
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
