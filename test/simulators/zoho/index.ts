import { type ApiAnswer, type ApiRequest, type Fault, type FaultRule, SimulatedApi } from '../api';
import { failed, type RecordResult, recordsAnswer, refusal } from './errors';
import { newRecordId, type ZohoField, ZohoModule, type ZohoRecord } from './module';
import { OAuth, type OAuthOptions } from './oauth';
import { coql, search } from './queries';

export type { ZohoField, ZohoRecord } from './module';

/** Credentials and scopes that the simulator has when no others are given. */
export const defaultZoho = {
  clientId: '1000.SIMULATEDCLIENT',
  clientSecret: 'simulated-zoho-client-secret',
  refreshToken: '1000.simulated-refresh-token.0123456789abcdef',
  scopes: ['ZohoCRM.modules.ALL', 'ZohoCRM.settings.ALL'],
} as const;

/** Settings of a {@link ZohoSimulator}; each has the vendor's documented value. */
export interface ZohoOptions extends Partial<OAuthOptions> {
  /** A free one when left out. */
  port?: number;
  /** Fields of Cases besides those of the system; {@link caseFields} when left out. */
  caseFields?: ZohoField[];
  /** How long a search does not see what was written. */
  indexDelayMs?: number;
  /** Requests at the same time. */
  concurrency?: number;
  /** Status when every record of a request was refused: the sources have 200, 202 and 400. */
  failureStatus?: 200 | 202 | 400;
  /** API credits of a day. */
  credits?: number;
  latencyMs?: number;
  now?: () => number;
}

export interface ZohoNote {
  id: string;
  parentId: string;
  title: string;
  content: string;
}

export interface ZohoAttachment {
  id: string;
  parentId: string;
  name: string;
  content: string;
}

/** The custom fields that the original service expected: texts all of them, the first one unique. */
export function caseFields({ unique = true }: { unique?: boolean } = {}): ZohoField[] {
  const text = (apiName: string): ZohoField => ({ apiName, dataType: 'text', length: 255, custom: true });
  const metrics = [
    'Message_Count',
    'User_Messages',
    'Assistant_Messages',
    'Total_Characters',
    'Average_Message_Length',
  ];
  return [{ ...text('Cody_Conversation_ID'), unique }, ...metrics.map((name) => text(`CF_${name}`))];
}

const SYSTEM_FIELDS: ZohoField[] = [
  { apiName: 'Subject', dataType: 'text', length: 255, mandatory: true },
  { apiName: 'Status', dataType: 'picklist', length: 120, mandatory: true },
  { apiName: 'Case_Origin', dataType: 'picklist', length: 120, mandatory: true },
  { apiName: 'Description', dataType: 'textarea', length: 32_000 },
  { apiName: 'Contact_Name', dataType: 'lookup', lookup: 'Contacts' },
  { apiName: 'Priority', dataType: 'picklist', length: 120 },
];
const CONTACT_FIELDS: ZohoField[] = [
  { apiName: 'Last_Name', dataType: 'text', length: 80, mandatory: true },
  { apiName: 'First_Name', dataType: 'text', length: 40 },
];
const NOTE_TITLE_LENGTH = 120;
const NOTE_CONTENT_LENGTH = 32_000;
const ATTACHMENT_BYTES = 20 * 1024 * 1024;
const RECORDS_A_CALL = 100;
const API_BODY_KEYS = [
  'data',
  'trigger',
  'duplicate_check_fields',
  'lar_id',
  'process',
  'apply_feature_execution',
  'skip_feature_execution',
];

/**
 * Zoho CRM v8 and its accounts server, as far as the fact sheet knows them: grants with their limits, records with
 * their checks, search with its delay and its loose `equals`, COQL, notes, attachments, field metadata.
 */
export class ZohoSimulator {
  readonly api: SimulatedApi;
  readonly oauth: OAuth;
  readonly modules = new Map<string, ZohoModule>();
  readonly notes: ZohoNote[] = [];
  readonly attachments: ZohoAttachment[] = [];
  indexDelayMs: number;
  concurrency: number;
  private readonly options: ZohoOptions;
  private creditsUsed = 0;

  constructor(options: ZohoOptions = {}) {
    this.options = options;
    const now = options.now ?? Date.now;
    this.indexDelayMs = options.indexDelayMs ?? 30_000;
    this.concurrency = options.concurrency ?? 25;
    this.api = new SimulatedApi(now, {
      status: 404,
      body: {
        code: 'INVALID_URL_PATTERN',
        details: {},
        message: 'Please check if the URL trying to access is a correct one',
        status: 'error',
      },
    });
    this.api.latencyMs = options.latencyMs ?? 0;
    this.oauth = new OAuth(this.api, {
      ...defaultZoho,
      scopes: [...defaultZoho.scopes],
      tokenLifetimeSeconds: 3_600,
      tokensPerWindow: 10,
      windowMs: 600_000,
      lockOutMs: 300_000,
      throttleStatus: 400,
      expiresInMilliseconds: false,
      ...options,
    });
    const exists = (module: string, id: string) => this.modules.get(module)?.records.has(id) ?? false;
    const add = (name: string, fields: ZohoField[]) =>
      this.modules.set(name, new ZohoModule(name, structuredClone(fields), exists, now, () => this.indexDelayMs));
    add('Cases', [...SYSTEM_FIELDS, ...(options.caseFields ?? caseFields())]);
    add('Contacts', CONTACT_FIELDS);
    this.serve();
  }

  /** What the environment variables ZOHO_ACCOUNTS_BASE_URL and ZOHO_API_BASE_URL name. */
  get url(): string {
    return this.api.url;
  }

  /** The Cases, in the order they were made. */
  get cases(): ZohoRecord[] {
    return [...this.modules.get('Cases')!.records.values()];
  }

  get contacts(): ZohoRecord[] {
    return [...this.modules.get('Contacts')!.records.values()];
  }

  /** The Cases of a conversation. */
  casesOf(conversationId: string): ZohoRecord[] {
    return this.cases.filter(({ fields }) => fields['Cody_Conversation_ID'] === conversationId);
  }

  notesOf(caseId: string): ZohoNote[] {
    return this.notes.filter(({ parentId }) => parentId === caseId);
  }

  /** Calls of the CRM API, without those for tokens. */
  get calls(): number {
    return this.api.total - (this.api.counts['POST /oauth/v2/token'] ?? 0);
  }

  fail(rule: FaultRule): Fault {
    return this.api.fail(rule);
  }

  close(): Promise<void> {
    return this.api.close();
  }

  private serve(): void {
    const records = (name: string) => [`ZohoCRM.modules.ALL`, `ZohoCRM.modules.${name.toLowerCase()}.ALL`];
    for (const name of ['Cases', 'Contacts']) {
      const module = this.modules.get(name)!;
      const base = `/crm/v8/${name}`;
      const scopes = (operation: string) => [...records(name), `ZohoCRM.modules.${name.toLowerCase()}.${operation}`];
      this.route('POST', base, scopes('CREATE'), (request) => this.insert(module, request));
      this.route('PUT', `${base}/{id}`, scopes('UPDATE'), (request) => this.update(module, request));
      this.route('GET', base, scopes('READ'), (request) => this.list(module, request));
      this.route('GET', `${base}/search`, scopes('READ'), (request) => this.search(module, request));
    }
    const notes = (operation: string) => [
      'ZohoCRM.modules.ALL',
      'ZohoCRM.modules.notes.ALL',
      `ZohoCRM.modules.notes.${operation}`,
    ];
    this.route('POST', '/crm/v8/Notes', notes('CREATE'), (request) => this.createNotes(request));
    this.route('GET', '/crm/v8/Cases/{id}/Notes', notes('READ'), (request) =>
      this.related(request, this.notes, ({ id, title, content }) => ({ id, Note_Title: title, Note_Content: content })),
    );
    const files = ['ZohoCRM.modules.ALL', 'ZohoCRM.modules.attachments.ALL'];
    this.route('POST', '/crm/v8/Cases/{id}/Attachments', files, (request) => this.attach(request));
    this.route('GET', '/crm/v8/Cases/{id}/Attachments', files, (request) =>
      this.related(request, this.attachments, ({ id, name, content }) => ({
        id,
        File_Name: name,
        Size: String(content.length),
      })),
    );
    this.route('POST', '/crm/v8/coql', ['ZohoCRM.coql.READ'], (request) => this.coql(request));
    const settings = ['ZohoCRM.settings.ALL', 'ZohoCRM.settings.fields.ALL', 'ZohoCRM.settings.fields.READ'];
    this.route('GET', '/crm/v8/settings/fields', settings, (request) => this.fieldMetadata(request));
  }

  private route(
    method: string,
    path: string,
    scopes: readonly string[],
    handle: (request: ApiRequest) => ApiAnswer,
  ): void {
    this.api.route({
      method,
      path,
      handle: (request) => {
        if (this.api.inFlight > this.concurrency)
          throw refusal(429, 'TOO_MANY_REQUESTS', 'Too many requests fired in concurrency');
        this.oauth.authorize(request.headers.authorization, scopes);
        this.creditsUsed += 1;
        const { credits = 50_000 } = this.options;
        if (this.creditsUsed > credits) throw refusal(429, 'TOO_MANY_REQUESTS', 'You have reached your API limit');
        const answer = handle(request);
        const left = credits - this.creditsUsed;
        const headers: Record<string, string> = left < credits / 2 ? { 'X-API-CREDITS-REMAINING': String(left) } : {};
        return { ...answer, headers: { ...headers, ...answer.headers } };
      },
    });
  }

  private insert(module: ZohoModule, request: ApiRequest): ApiAnswer {
    const results = dataOf(request).map((values, index) => module.insert(values, index));
    return recordsAnswer(results, 201, this.failureStatus);
  }

  private update(module: ZohoModule, request: ApiRequest): ApiAnswer {
    const [values, ...more] = dataOf(request);
    if (!values || more.length > 0) throw refusal(400, 'INVALID_DATA', 'one record is expected');
    return recordsAnswer([module.update(request.parameters['id'] ?? '', values, 0)], 200, this.failureStatus);
  }

  /** The records themselves, without the delay of a search; the names of the fields are mandatory. */
  private list(module: ZohoModule, { query }: ApiRequest): ApiAnswer {
    const columns = query.get('fields')?.split(',');
    if (!columns) throw missingParameter('fields');
    if (query.get('sort_by') !== 'id') throw refusal(400, 'INVALID_DATA', 'only the order of ids is simulated');
    const all = [...module.records.values()];
    if (query.get('sort_order') !== 'asc') all.reverse();
    const most = Math.min(200, Number(query.get('per_page') ?? 200));
    const data = all.slice(0, most).map(({ id, fields }) => ({
      id,
      ...Object.fromEntries(columns.map((name) => [name, fields[name] ?? null])),
    }));
    if (data.length === 0) return { status: 204 };
    return {
      status: 200,
      body: { data, info: { per_page: most, count: data.length, page: 1, more_records: all.length > most } },
    };
  }

  private search(module: ZohoModule, { query }: ApiRequest): ApiAnswer {
    const criteria = query.get('criteria');
    if (!criteria) throw missingParameter('criteria');
    const found = search(module, criteria);
    if (found.length === 0) return { status: 204 };
    const columns = query.get('fields')?.split(',');
    const data = found.slice(0, 200).map(({ id, fields }) => {
      const shown = columns ? Object.fromEntries(columns.map((name) => [name, fields[name] ?? null])) : fields;
      return { id, ...shown };
    });
    return {
      status: 200,
      body: { data, info: { per_page: 200, count: data.length, page: 1, more_records: found.length > 200 } },
    };
  }

  private coql(request: ApiRequest): ApiAnswer {
    const { select_query: query } = jsonOf(request) as { select_query?: unknown };
    if (typeof query !== 'string')
      throw refusal(400, 'MANDATORY_NOT_FOUND', 'required field not found', { api_name: 'select_query' });
    const data = coql(this.modules, query);
    if (data.length === 0) return { status: 204 };
    return { status: 200, body: { data, info: { count: data.length, more_records: false } } };
  }

  private createNotes(request: ApiRequest): ApiAnswer {
    const results = dataOf(request).map((values, index) => this.createNote(values, index));
    return recordsAnswer(results, 201, this.failureStatus);
  }

  private createNote(values: Record<string, unknown>, index: number): RecordResult {
    const { Parent_Id: parent, Note_Title: title = '', Note_Content: content } = values;
    const { module, id } = (parent ?? {}) as { module?: { api_name?: unknown }; id?: unknown };
    const at = (name: string) => ({ api_name: name, json_path: `$.data[${index}].${name}` });
    if (parent === undefined) return failed('MANDATORY_NOT_FOUND', 'required field not found', at('Parent_Id'));
    if (typeof content !== 'string' || content === '')
      return failed('MANDATORY_NOT_FOUND', 'required field not found', at('Note_Content'));
    const owner = typeof module?.api_name === 'string' ? this.modules.get(module.api_name) : undefined;
    if (typeof id !== 'string' || !owner?.records.has(id))
      return failed('INVALID_DATA', 'invalid data', at('Parent_Id'));
    if (typeof title !== 'string' || title.length > NOTE_TITLE_LENGTH) {
      return failed('INVALID_DATA', 'invalid data', { ...at('Note_Title'), maximum_length: NOTE_TITLE_LENGTH });
    }
    if (content.length > NOTE_CONTENT_LENGTH) {
      return failed('INVALID_DATA', 'invalid data', { ...at('Note_Content'), maximum_length: NOTE_CONTENT_LENGTH });
    }
    const note = { id: newRecordId(), parentId: id, title, content };
    this.notes.push(note);
    return { code: 'SUCCESS', details: { id: note.id }, message: 'record added', status: 'success' };
  }

  private attach({ parameters, headers, body }: ApiRequest): ApiAnswer {
    const parentId = parameters['id'] ?? '';
    if (!this.modules.get('Cases')!.records.has(parentId)) {
      throw refusal(400, 'INVALID_DATA', 'the related id given seems to be invalid');
    }
    const boundary = /^multipart\/form-data; boundary=(.+)$/.exec(headers['content-type'] ?? '')?.[1];
    if (!boundary) throw refusal(400, 'INVALID_REQUEST', 'multipart/form-data is expected');
    if (body.length > ATTACHMENT_BYTES) throw refusal(400, 'FILE_SIZE_MORE_THAN_ALLOWED_SIZE', 'the file is too large');
    const text = body.toString('utf8');
    const part = text.split(`--${boundary}`).find((each) => /name="file"/.test(each));
    const name = /filename="([^"]+)"/.exec(part ?? '')?.[1];
    if (part === undefined || name === undefined)
      throw refusal(400, 'REQUIRED_PARAM_MISSING', 'the file is missing', { param: 'file' });
    const content = part.slice(part.indexOf('\r\n\r\n') + 4, -2);
    const attachment = { id: newRecordId(), parentId, name, content };
    this.attachments.push(attachment);
    const details = { id: attachment.id };
    return {
      status: 200,
      body: { data: [{ code: 'SUCCESS', details, message: 'attachment uploaded successfully', status: 'success' }] },
    };
  }

  private related<Item extends { parentId: string }>(
    { parameters, query }: ApiRequest,
    items: readonly Item[],
    shown: (item: Item) => Record<string, unknown>,
  ): ApiAnswer {
    const columns = query.get('fields')?.split(',');
    if (!columns) throw missingParameter('fields');
    const found = items.filter(({ parentId }) => parentId === parameters['id']);
    const page = Number(query.get('page') ?? 1);
    const most = Number(query.get('per_page') ?? 200);
    const data = found.slice((page - 1) * most, page * most).map((item) => {
      const all = shown(item);
      return { id: all['id'], ...Object.fromEntries(columns.map((name) => [name, all[name] ?? null])) };
    });
    if (data.length === 0) return { status: 204 };
    return {
      status: 200,
      body: { data, info: { per_page: most, count: data.length, page, more_records: found.length > page * most } },
    };
  }

  private fieldMetadata({ query }: ApiRequest): ApiAnswer {
    const name = query.get('module');
    if (!name) throw missingParameter('module');
    const module = this.modules.get(name);
    if (!module) throw refusal(400, 'INVALID_MODULE', 'the module name given seems to be invalid');
    const fields = module.fields.map(({ apiName, label, dataType, length, mandatory, unique, custom }) => ({
      api_name: apiName,
      field_label: label ?? apiName.replaceAll('_', ' '),
      data_type: dataType,
      json_type: dataType === 'integer' ? 'integer' : dataType === 'lookup' ? 'jsonobject' : 'string',
      length: length ?? 100,
      system_mandatory: mandatory ?? false,
      custom_field: custom ?? false,
      read_only: false,
      unique: unique ? { casesensitive: 'false' } : {},
      pick_list_values: [],
    }));
    return { status: 200, body: { fields } };
  }

  private get failureStatus(): number {
    return this.options.failureStatus ?? 400;
  }
}

/** Starts a simulated Zoho: accounts server and API on one port. */
export async function startZohoSimulator(options: ZohoOptions = {}): Promise<ZohoSimulator> {
  const simulator = new ZohoSimulator(options);
  await simulator.api.listen(options.port);
  return simulator;
}

function missingParameter(param: string) {
  return refusal(400, 'REQUIRED_PARAM_MISSING', 'One of the expected parameter is missing', { param });
}

function jsonOf({ headers, body }: ApiRequest): unknown {
  if (!/^application\/json/i.test(headers['content-type'] ?? ''))
    throw refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'JSON is expected');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw refusal(400, 'INVALID_DATA', 'body');
  }
}

function dataOf(request: ApiRequest): Record<string, unknown>[] {
  const body = jsonOf(request) as Record<string, unknown>;
  const strange = Object.keys(body).filter((name) => !API_BODY_KEYS.includes(name));
  if (strange.length > 0) throw refusal(400, 'INVALID_DATA', 'unknown key', { api_name: strange[0] });
  const { data } = body;
  if (!Array.isArray(data) || data.length === 0)
    throw refusal(400, 'MANDATORY_NOT_FOUND', 'required field not found', { api_name: 'data' });
  if (data.length > RECORDS_A_CALL) throw refusal(400, 'LIMIT_EXCEEDED', 'too many records', { limit: RECORDS_A_CALL });
  return data as Record<string, unknown>[];
}
