/** What a custom field of a Case can hold. */
export const CASE_SOURCES = [
  'id',
  'name',
  'botId',
  'createdAt',
  'messageCount',
  'userMessages',
  'assistantMessages',
  'totalCharacters',
  'averageMessageLength',
  'durationSeconds',
] as const;

/** A property or a metric of a conversation. */
export type CaseSource = (typeof CASE_SOURCES)[number];

/** One custom field and where its value comes from. */
export interface FieldMapping {
  source: CaseSource;
  /** Its API name in Zoho. */
  field: string;
}

/** How Cases are made. */
export interface CaseSettings {
  /** Stands before the time in the Subject. */
  subjectPrefix: string;
  /** With `{transcript}`, `{conversation_id}` and so on; see {@link renderTemplate}. */
  descriptionTemplate: string;
  /** Of the time in the Subject, such as `Europe/Berlin`; that of the machine when left out. */
  timeZone: string | undefined;
  origin: string;
  status: string;
  /** Last name of the contact of every Case; no contact when empty. */
  contactName: string;
  /** One of them maps `id`: by that field a Case is found again. */
  fields: readonly FieldMapping[];
  /** Whether the transcript is also added as a Note, one for each content. */
  note: boolean;
  /** Where a transcript goes that is too long for the Description. */
  longTranscript: 'attachment' | 'note';
  /** Whether a Case is looked for before one is made. */
  duplicateCheck: boolean;
  /** Whether the field that holds the id is unique in Zoho; `auto` asks Zoho. */
  uniqueField: 'auto' | 'yes' | 'no';
}

/** The fields that the original service filled in. */
export const DEFAULT_FIELDS: readonly FieldMapping[] = [
  { source: 'id', field: 'Cody_Conversation_ID' },
  { source: 'messageCount', field: 'CF_Message_Count' },
  { source: 'userMessages', field: 'CF_User_Messages' },
  { source: 'assistantMessages', field: 'CF_Assistant_Messages' },
  { source: 'totalCharacters', field: 'CF_Total_Characters' },
  { source: 'averageMessageLength', field: 'CF_Average_Message_Length' },
];

/** The API name of the field that holds the id of the conversation. */
export function idFieldOf({ fields }: Pick<CaseSettings, 'fields'>): string {
  return fields.find(({ source }) => source === 'id')?.field ?? 'Cody_Conversation_ID';
}

/** Whether a value is a list of mappings, one of them for the id. */
export function isFieldMapping(value: unknown): value is FieldMapping[] {
  if (!Array.isArray(value)) return false;
  const sources: readonly string[] = CASE_SOURCES;
  const areMappings = value.every(
    (each) => sources.includes(each?.source) && typeof each?.field === 'string' && /^\w+$/.test(each.field),
  );
  return areMappings && value.some(({ source }) => source === 'id');
}
