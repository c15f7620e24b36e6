export type { SimulatorAuth } from './auth';
export type { StoredDocument, StoreMode, WriteBlock } from './elastic-index';
export type { BulkFault, BulkFaultAnswer, FaultHandle, FaultPosition } from './faults';
export type { RequestLogEntry } from './request-log';
export {
  type AppliedWrites,
  type ElasticsearchSimulator,
  type ElasticsearchSimulatorOptions,
  startElasticsearchSimulator,
} from './simulator';
