import { ContactError } from '../core/errors';
import type { CaseBook } from './case-book';
import type { ZohoClient } from './client';
import type { Finder } from './finder';
import { Stop, stopFor } from './stop';
import { judgeRecord } from './verdicts';

/** The contact of every Case: found by its last name, made when there is none. */
export class ContactFinder {
  private finding: Promise<string> | undefined;

  constructor(
    private readonly name: string,
    private readonly client: ZohoClient,
    private readonly finder: Finder,
    private readonly book: CaseBook,
  ) {}

  /** Its id; `undefined` when Cases have no contact. Throws {@link Stop}. */
  async get(signal: AbortSignal): Promise<string | undefined> {
    if (this.name === '') return undefined;
    const known = await this.book.contact(this.name);
    if (known !== undefined) return known;
    // However many Cases wait for it: it is made once.
    this.finding ??= this.findOrCreate(signal).finally(() => {
      this.finding = undefined;
    });
    return this.finding;
  }

  /** The contact is not there any more. */
  async forget(): Promise<void> {
    await this.book.setContact(this.name, undefined);
  }

  private async findOrCreate(signal: AbortSignal): Promise<string> {
    const found = await this.finder.find('Contacts', 'Last_Name', this.name, { thorough: true, signal });
    if ('refusal' in found) throw stopFor(found.refusal);
    const id = found.id ?? (await this.create(signal));
    await this.book.setContact(this.name, id);
    return id;
  }

  private async create(signal: AbortSignal): Promise<string> {
    const what = 'create the contact of the Cases';
    const body = { data: [{ Last_Name: this.name }] };
    const reading = await this.client.call('POST', '/Contacts', { body, signal, what });
    if (reading.kind === 'refusal') throw stopFor(reading.refusal);
    const record = reading.kind === 'records' ? reading.records[0] : undefined;
    const id = record?.details['id'];
    if (record?.code === 'SUCCESS' && typeof id === 'string') return id;
    if (record) throw new Stop(judgeRecord(what, record), 'all');
    const error = new ContactError('PROTOCOL', { attempted: what, answer: 'the answer names no record' });
    throw new Stop({ kind: 'unknown', error }, 'all');
  }
}
