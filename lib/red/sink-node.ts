import { type Fields, readConfig, type Values } from './config';
import type { Definition, Red, RuntimeNode } from './node';
import { type FailedMessage, refuseMessages, type Sink, sinkReport } from './sink';
import { Status, type StatusSources } from './status';

/** What a node with a sink is made of. */
export interface SinkNode<Config> {
  /** Opens the sink. What it throws says why the node cannot work. */
  open(config: Config): Sink;
  /** Begins to take messages in. */
  takeIn(sink: Sink, config: Config): void;
  failedMessage: FailedMessage;
  /** What the node reports besides the sink; without a configuration while that is not complete. */
  report?(config: Config | undefined): StatusSources;
}

/**
 * Starts a node with a sink, which shows how the sink stands. One that cannot work says why, and sends every message out
 * of its second output.
 */
export function startSink<const Of extends Fields>(
  RED: Red,
  node: RuntimeNode,
  definition: Definition,
  fields: Of,
  { open, takeIn, failedMessage, report }: SinkNode<Values<Of>>,
): void {
  let sink: Sink | undefined;
  const config = readConfig(RED, node, definition, fields);
  const own = report?.(config.ok ? config.value : undefined);
  const status = new Status(RED, node, { ...sinkReport(() => sink), ...own });
  try {
    if (!config.ok) throw config.error;
    sink = open(config.value);
    sink.show(status);
    takeIn(sink, config.value);
  } catch (thrown) {
    refuseMessages(RED, node, definition, status.cannotStart(thrown), failedMessage);
  }
}
