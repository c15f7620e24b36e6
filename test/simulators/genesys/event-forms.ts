import { randomUUID } from 'node:crypto';

/** An event definition; name and description may be missing, as for codes that the catalog does not describe. */
export interface EventDefinition {
  id: string;
  name?: string;
  description?: string;
}

/** An operational event that happens. Everything but the code may be left out. */
export interface OperationalEvent {
  /** Event definition id, for example `AUDIOHOOK-0001`. */
  code: string;
  entityId?: string;
  entityName?: string;
  /** Only the socket form has it. */
  entityType?: string;
  entityToken?: string;
  parentEntityId?: string;
  conversationId?: string;
  previousValue?: string;
  currentValue?: string;
  errorCode?: string;
  version?: string;
  phoneNumber?: string;
  externalContactId?: string;
  /** Epoch ms in the socket form; null leaves it out (older model), left out means the time of `dateCreated`. */
  timestamp?: number | null;
  /** Creation in the REST form, epoch ms or ISO 8601; default now. */
  dateCreated?: number | string;
}

/** Definitions of the simulated catalog. The texts of AUDIOHOOK-0001 are the vendor's; the others are plausible, not quoted. */
export const defaultDefinitions: readonly EventDefinition[] = [
  { id: 'AUDIOHOOK-0001', name: 'AudioHook integration error', description: 'The provisioned server URI is invalid.' },
  {
    id: 'AUDIOHOOK-0002',
    name: 'AudioHook connection timeout',
    description: 'The server did not answer the open message in time.',
  },
  {
    id: 'AUDIOHOOK-0003',
    name: 'AudioHook authentication failure',
    description: 'The server refused the credentials of the integration.',
  },
  {
    id: 'AUDIOHOOK-0004',
    name: 'AudioHook protocol error',
    description: 'The server sent an invalid sequence number.',
  },
  { id: 'AUDIOHOOK-0006', name: 'AudioHook ping timeout', description: 'The server did not answer a ping in time.' },
  {
    id: 'AUDIOHOOK-0009',
    name: 'AudioHook message rejected',
    description: 'The server sent a message that could not be processed.',
  },
  {
    id: 'DATAACTIONS-0002',
    name: 'Data action throttled',
    description: 'A data action was called more often than its limit allows.',
  },
  { id: 'DATATABLES-0001', name: 'Data table import failed', description: 'A data table import ended with errors.' },
  { id: 'FLOWS-0003', name: 'Flow execution error', description: 'A flow ended in its error handling.' },
  { id: 'TRUNKS-0001', name: 'Trunk out of service', description: 'A trunk lost its connection.' },
];

/** The topic on which events of a code arrive. */
export function topicOf(code: string): string {
  return `v2.operations.events.${code}`;
}

/** The frame of the socket: notification envelope with an `OperationalEventNotification` body. */
export function socketForm(event: OperationalEvent, definition: EventDefinition, createdAt: number): string {
  const timestamp = event.timestamp === undefined ? createdAt : (event.timestamp ?? undefined);
  return JSON.stringify({
    topicName: topicOf(event.code),
    version: '2',
    eventBody: {
      eventEntity: { id: definition.id, name: definition.name, description: definition.description },
      entityId: event.entityId,
      entityName: event.entityName,
      entityType: event.entityType,
      entityToken: event.entityToken,
      parentEntity: event.parentEntityId,
      conversationId: event.conversationId,
      previousValue: event.previousValue,
      currentValue: event.currentValue,
      errorCode: event.errorCode,
      version: event.version,
      phoneNumber: event.phoneNumber,
      externalContactId: event.externalContactId,
      timestamp,
    },
    metadata: { CorrelationId: randomUUID() },
  });
}

/** The REST record, which names some fields otherwise and has no `entityType`. */
export function restForm(event: OperationalEvent, createdAt: number): Record<string, unknown> {
  const date = new Date(createdAt).toISOString();
  return {
    eventDefinition: definitionRef(event.code),
    entityId: event.entityId,
    entityToken: event.entityToken,
    entityName: event.entityName,
    previousValue: event.previousValue,
    currentValue: event.currentValue,
    errorCode: event.errorCode,
    parentEntityId: event.parentEntityId,
    conversation: event.conversationId && {
      id: event.conversationId,
      selfUri: `/api/v2/conversations/${event.conversationId}`,
    },
    dateCreated: date,
    dateModified: date,
    entityVersion: event.version,
    phoneNumber: event.phoneNumber,
    externalContactId: event.externalContactId,
  };
}

/** A reference to a definition as the API writes it. */
export function definitionRef(id: string): { id: string; selfUri: string } {
  return { id, selfUri: `/api/v2/usage/events/definitions/${id}` };
}
