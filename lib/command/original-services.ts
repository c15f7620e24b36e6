/** The environment of one of the services that a flow of the pack takes the place of. */
export interface OriginalService {
  /** The example flow that takes its place. */
  flow: string;
  /** What the service was. */
  title: string;
  /** Variables by which an environment is recognized as that of this service. */
  marks: readonly string[];
  /** Its variables, by name. */
  variables: Readonly<Record<string, OriginalVariable>>;
  /** What the flow needs to behave like the service, or to run at all, and the service did not have. */
  additions: readonly Addition[];
  /** What is different in how they work, a sentence each. */
  differences: readonly string[];
}

/** What becomes of a variable of an original service. */
export interface OriginalVariable {
  /** What the service took when it was not set, where the flow takes something else: it is written out then. */
  otherwise?: string;
  /** Its name now; the same as before when left out. */
  name?: string;
  /** Its value now, if that is another one. `undefined` leaves it out. */
  convert?: (value: string, all: Readonly<Record<string, string | undefined>>) => string | undefined;
  /** Why it is not taken over, and what there is instead. */
  dropped?: string;
  /** What to look at when it was set. */
  note?: string;
}

/** A variable that the service did not have. */
export interface Addition {
  name: string;
  /** Empty for what only the user knows. */
  value: string;
  note: string;
}

const SAME: OriginalVariable = {};
const same = (names: string): Record<string, OriginalVariable> =>
  Object.fromEntries(names.split(' ').map((name) => [name, SAME]));

const isTrue = (value: string | undefined) => /^(true|1|yes|on)$/i.test(value ?? '');
const MONITOR_TOKEN = { name: 'MONITOR_TOKEN', value: '', note: 'opens /logs: openssl rand -hex 24' };

const audiohook: OriginalService = {
  flow: 'audiohook-collector',
  title: 'Genesys AudioHook collector (Python, aiohttp)',
  marks: ['ELASTIC_URL', 'AUTO_DISCOVER_AUDIOHOOK', 'TOPIC_INCLUDE_REGEX', 'BULK_MAX_DOCS', 'HTTP_STATUS_PORT'],
  variables: {
    ...same('GENESYS_ENV GENESYS_CLIENT_ID GENESYS_CLIENT_SECRET AUTO_DISCOVER_AUDIOHOOK'),
    ...same('TOPIC_INCLUDE_REGEX TOPIC_EXCLUDE_REGEX ELASTIC_URL ELASTIC_AUTH ELASTIC_DATASTREAM'),
    ...same('BULK_MAX_DOCS BULK_MAX_SECONDS BULK_CONCURRENCY RETRY_BASE_SLEEP RETRY_MAX_SLEEP'),
    TOPICS_FILE: { note: 'Write it as an absolute path: Node-RED has a working folder of its own.' },
    FALLBACK_TOPICS: { note: 'channel.metadata is not needed any more: heartbeats are not stored as documents.' },
    ELASTIC_INDEX: {
      otherwise: 'genesys-audiohook',
      convert: (index, { ELASTIC_DATASTREAM }) => (isTrue(ELASTIC_DATASTREAM) ? index : `${index}-{yyyy.MM.dd}`),
      note: 'The service put the date behind the name by itself; the flow does where the name says so.',
    },
    HTTP_STATUS_PORT: { name: 'PORT', note: 'Node-RED has one port for the editor and for all services.' },
    HTTP_STATUS_HOST: { name: 'HOST' },
    HTTP_STATUS_ENABLED: { dropped: 'The monitor always answers; take the node contact-monitor away if it must not.' },
  },
  additions: [MONITOR_TOKEN],
  differences: [
    'Documents have an id that follows from the event: what comes twice is stored once, and a gap is filled over REST.',
    'A document that Elasticsearch rejects leaves by output 2 instead of being lost with its batch.',
    'GET /health answers 503 only when something needs help; the counters of /stats are those of each node.',
  ],
};

const codyToZoho: OriginalService = {
  flow: 'cody-to-zoho',
  title: 'Cody2Zoho (Python, Flask)',
  marks: ['CODY_API_KEY', 'CODY_BOT_ID', 'ZOHO_CLIENT_ID', 'ZOHO_REFRESH_TOKEN'],
  variables: {
    ...same('CODY_API_URL CODY_API_KEY CODY_BOT_ID ZOHO_API_VERSION ZOHO_CLIENT_ID ZOHO_CLIENT_SECRET'),
    ...same('ZOHO_ACCOUNTS_BASE_URL ZOHO_API_BASE_URL ZOHO_CONTACT_NAME ZOHO_CASE_ORIGIN ZOHO_CASE_STATUS'),
    ...same('ZOHO_ATTACH_TRANSCRIPT_AS_NOTE ENABLE_NOTES ZOHO_ENABLE_DUPLICATE_CHECK POLL_INTERVAL_SECONDS'),
    ...same('POLLING_INTERVAL CASE_SUBJECT_PREFIX CASE_DESCRIPTION_TEMPLATE PORT LOG_LEVEL'),
    ...same('ENABLE_APPLICATION_INSIGHTS APPLICATIONINSIGHTS_CONNECTION_STRING'),
    ...same('ENABLE_GRAYLOG GRAYLOG_HOST GRAYLOG_PORT GRAYLOG_PROTOCOL'),
    ZOHO_REFRESH_TOKEN: {
      note: 'It needs the right to read Cases, which the service did not ask for: npx contact-center zoho-token --check',
    },
    REDIS_URL: {
      otherwise: 'redis://localhost:6379/0',
      note: 'Only for several processes; without it the state is on disk.',
    },
    APPLICATIONINSIGHTS_ROLE_NAME: { otherwise: 'Cody2Zoho' },
    ZOHO_ACCESS_TOKEN: { dropped: 'Access tokens are made from the refresh token.' },
    ZOHO_CONTACT_ID: { dropped: 'The service asked for it and never used it; ZOHO_CONTACT_NAME decides.' },
    GRAYLOG_APPLICATION_NAME: { dropped: 'The name of the service is sent.' },
    GRAYLOG_ENVIRONMENT: { dropped: 'Not sent.' },
    GRAYLOG_LOG_LEVEL: { name: 'LOG_LEVEL' },
  },
  additions: [
    { name: 'START_FROM', value: 'now', note: 'chats from the first start on; "all" or a date takes what is older' },
    { name: 'SETTLE_SECONDS', value: '300', note: 'a chat is over after so much silence' },
    { name: 'METRICS_ENABLED', value: 'true', note: '/metrics, as JSON with the header Accept: application/json' },
    MONITOR_TOKEN,
  ],
  differences: [
    'A chat becomes a Case when it has settled, and changes that Case when it goes on; the service took what was there at its first look.',
    'All pages of chats are read, not only the first one.',
    'A Case that the service has made is found by Cody_Conversation_ID and kept; make that field unique.',
    'A chat without messages becomes no Case.',
  ],
};

const ocelot: OriginalService = {
  flow: 'ocelot-events',
  title: 'Events of the Ocelot platform (Python, aio-pika)',
  marks: ['USE_INMEMORY_EVENTS', 'ENABLE_EVENTS'],
  variables: {
    RABBITMQ_URL: {
      otherwise: 'amqp://guest:guest@localhost:5672/',
      convert: (url, { USE_INMEMORY_EVENTS }) => (isTrue(USE_INMEMORY_EVENTS ?? 'true') ? 'memory:' : url),
      note: 'The publisher did not read it, and worked in memory unless USE_INMEMORY_EVENTS was false.',
    },
    USE_INMEMORY_EVENTS: { dropped: 'RABBITMQ_URL=memory: is the broker within Node-RED, for trying out.' },
    ENABLE_EVENTS: { dropped: 'Disable the tab of the flow instead.' },
  },
  additions: [{ name: 'MODULE', value: 'cc-lite', note: 'the module in the metadata of each event' }],
  differences: [
    'An event waits on disk while the broker is away; the service dropped it.',
    'Events are checked against their schemas, confirmed by the broker, and returned when no queue takes them.',
    'The timestamp says that it is UTC ("Z").',
  ],
};

const calls: OriginalService = {
  flow: 'ari-call-api',
  title: 'ARI interaction service (Python, FastAPI)',
  marks: ['ARI_HTTP_URL', 'ARI_USERNAME', 'ARI_PASSWORD', 'ARI_APP', 'DEFAULT_CONTEXT'],
  variables: {
    ...same('ARI_HTTP_URL ARI_APP DEFAULT_CONTEXT DEFAULT_EXTENSION DEFAULT_PRIORITY DEFAULT_TIMEOUT DISABLE_DB'),
    ...same('ACCESS_TOKEN_EXPIRE_MINUTES JWT_ISSUER JWT_AUDIENCE LOG_LEVEL PORT'),
    ARI_USERNAME: { otherwise: 'ariuser' },
    ARI_PASSWORD: { otherwise: 'aripass' },
    DEFAULT_CALLER_ID: { otherwise: 'Outbound Call' },
    METRICS_ENABLED: { otherwise: 'true' },
    DATABASE_URL: {
      convert: (url) => url.replace(/^postgres(ql)?(\+\w+)?:/, 'postgresql:'),
      note: 'The tables of the flow are its own; those of the service stay as they are and are not read.',
    },
    SECRET_KEY: { note: 'With 32 characters or more it is taken over, and tokens that were issued stay valid.' },
    ALGORITHM: { dropped: 'It is always HS256.' },
    ARI_MAX_KEEPALIVE: { dropped: 'Not needed: connections are kept as they are used.' },
    ARI_MAX_CONNECTIONS: { dropped: 'Not needed: connections are kept as they are used.' },
    RATE_LIMIT_REQUESTS: { dropped: 'The node call-auth has limits for failed attempts to get a token.' },
    RATE_LIMIT_WINDOW: { dropped: 'The node call-auth has limits for failed attempts to get a token.' },
    DEBUG: { dropped: 'LOG_LEVEL=debug is the nearest.' },
  },
  additions: [
    {
      name: 'ARI_ENDPOINT',
      value: '',
      note: 'what Asterisk dials; the service dialled Local/{number}@<DEFAULT_CONTEXT>',
    },
    { name: 'API_USER', value: '', note: 'the first user; more with: npx contact-center user add' },
    {
      name: 'API_PASSWORD_HASH',
      value: '',
      note: 'npx contact-center user hash; a bcrypt hash of the service can be taken over',
    },
  ],
  differences: [
    'busy and no_answer are told apart from failed, and no call stays open when Asterisk restarts.',
    'A call that Asterisk refuses is answered with 4xx or 503, not with 200 and "success": false.',
    'Idempotency-Key keeps a repeated request from calling twice.',
    'With DISABLE_DB=true the status of calls is kept in memory; the service answered 503.',
    'Extension and priority are used; the service took them and dropped them.',
  ],
};

const messages: OriginalService = {
  flow: 'genesys-messages',
  title: 'genesys-api-service (TypeScript)',
  marks: ['TENANT_SERVICE_URL', 'AUTH_SERVICE_URL', 'RABBITMQ_PREFETCH'],
  variables: {
    ...same('RABBITMQ_URL REDIS_URL TENANT_SERVICE_URL PORT LOG_LEVEL'),
    AUTH_SERVICE_URL: { dropped: 'Tokens are fetched from Genesys Cloud with the credentials of the tenant.' },
    RABBITMQ_PREFETCH: { dropped: 'It is a property of the node contact-queue-in.' },
  },
  additions: [
    { name: 'OUTBOUND_QUEUE', value: 'genesys.outbound.ready', note: 'the queue that the service read' },
    { name: 'RATE_LIMIT_PER_MINUTE', value: '300', note: 'for organizations without a limit of their own' },
    { name: 'GENESYS_WEBHOOK_SECRET', value: '', note: 'of the integration, for /genesys/webhook' },
    { name: 'TENANT_SERVICE_TOKEN', value: '', note: 'bearer token for the tenant service, if it asks for one' },
    MONITOR_TOKEN,
  ],
  differences: [
    'The form of message that the service read is taken as it is.',
    'Changes of status go to the exchange genesys.status; the queues correlation-events and genesys-status-processed are not used.',
    'What cannot be sent goes to <OUTBOUND_QUEUE>.dlq with the reason in its headers, not to genesys-api.dlq.',
    'A 429 and a fault of Genesys are tried again after a pause; the service put the first aside and sent the second at once, for ever.',
  ],
};

/** The five services, in the order of their flows. */
export const ORIGINAL_SERVICES: readonly OriginalService[] = [audiohook, codyToZoho, ocelot, calls, messages];
