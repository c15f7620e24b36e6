import { randomBytes } from 'node:crypto';
import type { AttachmentContent, CaseContent, NoteContent } from './case-content';
import type { ZohoClient } from './client';
import { contentOf, Stop, stopFor } from './stop';
import { judgeRecord, type Reading, type RecordResult } from './verdicts';

/** What was added to a Case. */
export interface AddedExtras {
  notes: number;
  attachments: number;
}

/** The most that one answer lists. */
const PAGE = 200;

/** Adds Notes and attachment to a Case, each content once. */
export class ExtrasWriter {
  constructor(
    private readonly client: ZohoClient,
    /** Zoho has told that a field takes less than was known. */
    private readonly learn: (record: RecordResult) => boolean,
  ) {}

  /**
   * Adds what is not there yet. With `isFresh` nothing can be there, so that nothing is looked for. Throws {@link Stop};
   * a field that turned out to be shorter gives `too-long`: then the content must be made anew.
   */
  async add(
    caseId: string,
    { notes, attachment }: Pick<CaseContent, 'notes' | 'attachment'>,
    isFresh: boolean,
    signal: AbortSignal,
  ): Promise<AddedExtras | 'too-long'> {
    const missing = isFresh ? notes : await this.missingNotes(caseId, notes, signal);
    if (missing.length > 0 && !(await this.addNotes(caseId, missing, signal))) return 'too-long';
    const isThere = !attachment || (!isFresh && (await this.hasAttachment(caseId, attachment, signal)));
    if (!isThere) await this.attach(caseId, attachment, signal);
    return { notes: missing.length, attachments: isThere ? 0 : 1 };
  }

  /** Whether there is nothing to add. */
  async areThere(
    caseId: string,
    { notes, attachment }: Pick<CaseContent, 'notes' | 'attachment'>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if ((await this.missingNotes(caseId, notes, signal)).length > 0) return false;
    return !attachment || this.hasAttachment(caseId, attachment, signal);
  }

  private async missingNotes(caseId: string, notes: NoteContent[], signal: AbortSignal): Promise<NoteContent[]> {
    if (notes.length === 0) return [];
    const there = await this.list(caseId, 'Notes', 'Note_Title', signal);
    return notes.filter(({ title }) => !there.has(markOf(title)));
  }

  private async hasAttachment(caseId: string, { name }: AttachmentContent, signal: AbortSignal): Promise<boolean> {
    return (await this.list(caseId, 'Attachments', 'File_Name', signal)).has(name);
  }

  private async list(caseId: string, what: string, field: string, signal: AbortSignal): Promise<Set<string>> {
    const found = new Set<string>();
    for (let page = 1; ; page++) {
      const query = { fields: field, per_page: PAGE, page };
      const call = { query, signal, what: `list the ${what} of a Case` };
      const body = contentOf(await this.client.call('GET', `/Cases/${caseId}/${what}`, call));
      const rows = Array.isArray(body?.['data']) ? (body['data'] as Record<string, unknown>[]) : [];
      for (const row of rows) found.add(what === 'Notes' ? markOf(String(row?.[field])) : String(row?.[field]));
      const { more_records: more } = (body?.['info'] ?? {}) as { more_records?: unknown };
      if (more !== true || rows.length === 0) return found;
    }
  }

  /** False when a Note was too long. */
  private async addNotes(caseId: string, notes: NoteContent[], signal: AbortSignal): Promise<boolean> {
    const parent = { module: { api_name: 'Cases' }, id: caseId };
    const data = notes.map(({ title, content }) => ({ Parent_Id: parent, Note_Title: title, Note_Content: content }));
    const reading = await this.client.call('POST', '/Notes', { body: { data }, signal, what: 'add a Note to a Case' });
    return this.succeeded(reading, 'add a Note to a Case');
  }

  private async attach(caseId: string, attachment: AttachmentContent, signal: AbortSignal): Promise<void> {
    const boundary = `----contact-center-${randomBytes(12).toString('hex')}`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${attachment.name}"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n`;
    const body = Buffer.from(`${head}${attachment.content}\r\n--${boundary}--\r\n`, 'utf8');
    const headers = { 'Content-Type': `multipart/form-data; boundary=${boundary}` };
    const what = 'attach the transcript to a Case';
    const reading = await this.client.call('POST', `/Cases/${caseId}/Attachments`, { body, headers, signal, what });
    this.succeeded(reading, what);
  }

  /** Whether all was added; false when something must be made shorter first. Throws {@link Stop} for anything else. */
  private succeeded(reading: Reading, what: string): boolean {
    if (reading.kind === 'refusal') throw stopFor(reading.refusal);
    if (reading.kind !== 'records') return true;
    const failed = reading.records.find(({ code }) => code !== 'SUCCESS');
    if (!failed) return true;
    if (this.learn(failed)) return false;
    throw new Stop(judgeRecord(what, failed), 'one');
  }
}

/** The end of a title, which tells Notes of one content from those of another. */
function markOf(title: string): string {
  return /\[[0-9a-f]{8}\](?: \(\d+\/\d+\))?$/.exec(title)?.[0] ?? title;
}
