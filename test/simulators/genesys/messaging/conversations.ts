import { randomUUID } from 'node:crypto';
import { type Answer, badRequest, notFound } from '../answers';
import type { ApiRequest, SimulatorServer } from '../server';
import { bodyOf, exactlyOne, oneOf, text, textMap } from './bodies';
import type { Integration } from './integrations';

/** One message as a participant's leg lists it. */
interface LegMessage {
  messageId: string;
  messageTime: string;
  messageStatus: string;
}

/** Someone in a conversation, with one leg. */
export interface Participant {
  readonly id: string;
  readonly purpose: 'customer' | 'acd' | 'agent';
  readonly name: string;
  /** The leg's id: what the vendor calls the communication. */
  readonly communicationId: string;
  readonly userId?: string;
  readonly queueId?: string;
  state: 'connected' | 'disconnected';
  readonly attributes: Record<string, string>;
  readonly messages: LegMessage[];
}

/** A conversation between a customer and the organization. */
export interface Conversation {
  readonly id: string;
  readonly integration: Integration;
  /** The customer's id in the messages. */
  readonly customerId: string;
  readonly startedAt: string;
  endedAt: string | undefined;
  readonly participants: Participant[];
}

const view = 'conversation:communication:view';
const path = '/api/v2/conversations/messages/{conversationId}';

/** Message conversations: begun by inbound messages, shown, changed and ended over the API. */
export class Conversations {
  private readonly byId = new Map<string, Conversation>();
  private readonly open = new Map<string, Conversation>();

  constructor(server: SimulatorServer) {
    server.route(
      { method: 'GET', path, handle: (request) => ok(shownAsMessages(this.of(request))) },
      {
        method: 'GET',
        path: '/api/v2/conversations/{conversationId}',
        permission: view,
        handle: (request) => ok(shown(this.of(request))),
      },
      {
        method: 'PATCH',
        path,
        permission: 'conversation:communication:disconnect',
        handle: (request) => this.change(request),
      },
      {
        method: 'POST',
        path: `${path}/participants/{participantId}/replace`,
        handle: (request) => {
          const body = bodyOf(request, {
            userId: text(),
            queueId: text(),
            address: text(),
            userName: text(),
            transferType: oneOf('Attended', 'Unattended'),
          });
          exactlyOne(body, ['userId', 'queueId', 'address']);
          return this.replace(request, body);
        },
      },
      ...(['queue', 'agent'] as const).map((target) => ({
        method: 'POST',
        path: `/api/v2/conversations/{conversationId}/participants/{participantId}/replace/${target}`,
        permission: 'conversation:communication:blindTransfer',
        handle: (request: ApiRequest) => {
          const id = target === 'queue' ? 'queueId' : 'userId';
          const body = bodyOf(
            request,
            { [id]: text(), transferType: oneOf('Attended', 'Unattended') },
            target === 'queue' ? [id] : [],
          );
          return this.replace(request, body);
        },
      })),
      {
        method: 'PATCH',
        path: `${path}/participants/{participantId}/attributes`,
        handle: (request) => {
          const { attributes } = bodyOf(request, { attributes: textMap }, ['attributes']);
          Object.assign(this.participant(request, this.of(request)).attributes, attributes);
          return { status: 200, body: { attributes } };
        },
      },
    );
  }

  /** All conversations, oldest first. */
  get all(): readonly Conversation[] {
    return [...this.byId.values()];
  }

  /** The open conversation of a customer, begun when there is none. */
  withCustomer(integration: Integration, customerId: string): Conversation {
    const key = `${integration.id}\n${customerId}`;
    const found = this.open.get(key);
    if (found) return found;
    const conversation: Conversation = {
      id: randomUUID(),
      integration,
      customerId,
      startedAt: new Date().toISOString(),
      endedAt: undefined,
      participants: [participant('customer', customerId)],
    };
    this.open.set(key, conversation);
    this.byId.set(conversation.id, conversation);
    return conversation;
  }

  /** The conversation that a request names, if it is of the caller's organization. */
  of({ parameters, token }: ApiRequest): Conversation {
    const found = this.byId.get(parameters['conversationId'] ?? '');
    if (found?.integration.organization.id !== token.client.organization.id) throw notFound('Conversation not found.');
    return found;
  }

  /** Any conversation; throws for an unknown one. */
  get(id: string): Conversation {
    const found = this.byId.get(id);
    if (!found) throw new Error(`The simulator has no conversation ${id}`);
    return found;
  }

  /** Lets an agent answer. Gives back the agent's participant. */
  connectAgent(conversationId: string, userId: string = randomUUID()): Participant {
    const agent = participant('agent', 'Agent', { userId });
    this.get(conversationId).participants.push(agent);
    return agent;
  }

  /** Ends a conversation: the customer's next message begins another. */
  end(conversation: Conversation): void {
    conversation.endedAt ??= new Date().toISOString();
    for (const each of conversation.participants) each.state = 'disconnected';
    this.open.delete(`${conversation.integration.id}\n${conversation.customerId}`);
  }

  private change(request: ApiRequest): Answer {
    const { state } = bodyOf(request, { state: oneOf('connected', 'disconnected') }, ['state']);
    const conversation = this.of(request);
    if (state === 'connected') throw badRequest('A conversation cannot be connected again.');
    this.end(conversation);
    return ok(shownAsMessages(conversation));
  }

  private replace(request: ApiRequest, to: Record<string, unknown>): Answer {
    const conversation = this.of(request);
    const leaving = this.participant(request, conversation);
    if (leaving.state !== 'connected') throw badRequest('The participant is not connected.');
    leaving.state = 'disconnected';
    const { queueId, userId } = to as { queueId?: string; userId?: string };
    const arriving = queueId ? participant('acd', 'Queue', { queueId }) : participant('agent', 'Agent', { userId });
    conversation.participants.push(arriving);
    return { status: 202 };
  }

  private participant({ parameters }: ApiRequest, { participants }: Conversation): Participant {
    const found = participants.find(({ id }) => id === parameters['participantId']);
    if (!found) throw notFound('Participant not found.');
    return found;
  }
}

function participant(
  purpose: Participant['purpose'],
  name: string,
  who: { userId?: string | undefined; queueId?: string } = {},
): Participant {
  const { userId, queueId } = who;
  return {
    id: randomUUID(),
    purpose,
    name,
    communicationId: randomUUID(),
    ...(userId ? { userId } : {}),
    ...(queueId ? { queueId } : {}),
    state: 'connected',
    attributes: {},
    messages: [],
  };
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

/** The form of `/conversations/{id}`: what is under `messages` are the legs. */
function shown({ id, startedAt, endedAt, participants }: Conversation) {
  return {
    id,
    startTime: startedAt,
    ...(endedAt ? { endTime: endedAt } : {}),
    participants: participants.map(({ communicationId, state, messages, ...participantFields }) => ({
      ...participantFields,
      messages: [{ id: communicationId, state, type: 'open', messages }],
    })),
    selfUri: `/api/v2/conversations/${id}`,
  };
}

/** The form of `/conversations/messages/{id}`: what is under `messages` are the messages. */
function shownAsMessages({ id, participants }: Conversation) {
  return {
    id,
    participants: participants.map(({ communicationId: _leg, ...fields }) => ({ ...fields, type: 'open' })),
    selfUri: `/api/v2/conversations/messages/${id}`,
  };
}
