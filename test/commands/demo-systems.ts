import { startElasticsearchSimulator } from '../simulators/elasticsearch';
import { defaultClient, startGenesysSimulator } from '../simulators/genesys';

/** A simulator at work. */
export interface RunningSystem {
  /** What the example flows must know to find it. */
  environment: Record<string, string>;
  /** What is worth knowing about it, in a few words. */
  note: string;
  /** Where a person can look at what has arrived in it. */
  look?: { name: string; url: string };
  /** Begins to send what the flows are made for. */
  makeTraffic?: () => void;
  countDocuments?: () => Promise<number>;
  close(): Promise<void>;
}

/** A remote system of the examples: real where the environment names it, simulated otherwise. */
export interface System {
  name: string;
  isReal: (environment: NodeJS.ProcessEnv) => boolean;
  simulate: () => Promise<RunningSystem>;
}

const EVENTS_PER_SECOND = 3;
/** Enough for years. */
const ENDLESS = 1_000_000_000;

const genesys: System = {
  name: 'Genesys Cloud',
  isReal: ({ GENESYS_CLIENT_ID }) => Boolean(GENESYS_CLIENT_ID),
  async simulate() {
    const simulator = await startGenesysSimulator();
    const { id, secret } = defaultClient;
    return {
      environment: {
        GENESYS_LOGIN_URL: simulator.url,
        GENESYS_API_URL: simulator.url,
        GENESYS_CLIENT_ID: id,
        GENESYS_CLIENT_SECRET: secret,
      },
      note: `${simulator.url}, ${EVENTS_PER_SECOND} AudioHook events a second`,
      makeTraffic: () => {
        simulator.generate({ count: ENDLESS, ratePerSecond: EVENTS_PER_SECOND });
      },
      close: () => simulator.close(),
    };
  },
};

const elasticsearch: System = {
  name: 'Elasticsearch',
  isReal: ({ ELASTIC_URL }) => Boolean(ELASTIC_URL),
  async simulate() {
    const simulator = await startElasticsearchSimulator();
    const { ELASTIC_INDEX: index = 'genesys-audiohook' } = process.env;
    return {
      environment: { ELASTIC_URL: simulator.url },
      note: simulator.url,
      look: { name: 'Documents', url: `${simulator.url}/${index}*/_search?size=3&pretty` },
      countDocuments: async () => {
        const answer = await fetch(`${simulator.url}/${index}*/_count`);
        const { count = 0 } = (await answer.json()) as { count?: number };
        return count;
      },
      close: () => simulator.close(),
    };
  },
};

/** Every system that an example talks to. */
export const SYSTEMS: readonly System[] = [genesys, elasticsearch];
