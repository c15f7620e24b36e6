/** How long single items took, in milliseconds. */
export interface Latency {
  p50: number;
  p95: number;
  /** How many took so long, by what they took at most: each item is in one of them. */
  histogram?: { upToMs: number; items: number }[];
}

/** What one run of a contender took. */
export interface Measurement {
  items: number;
  seconds: number;
  /** CPU time of the measured process, all threads, user and system. */
  cpuMicroseconds: number;
  /** The highest that was seen during the run. */
  rssBytes: number;
  heapBytes: number;
  /** Where that was measured. */
  latencyMs?: Latency;
  /** Calls of a remote system, where they were counted. */
  calls?: number;
}

/** One of the things that are compared, running in a process of its own and kept warm between its rounds. */
export interface Contender {
  name: string;
  /** What part of the benchmark's items it is given a round; 1 when left out. A slow one needs fewer. */
  share?: number;
  /**
   * One round: `items` go through, and are checked to have arrived exactly once. Throws when they have not: that is
   * the one way for a benchmark to fail.
   */
  run(items: number): Promise<Measurement>;
  close(): Promise<void>;
}

/** A figure that is wanted of a contender. */
export interface Target {
  contender: string;
  /**
   * The contender it is held against, round by round: the figure is the ratio of the two then, or how much longer it
   * takes for a latency, and how much more it holds for memory.
   */
  against?: string;
  /**
   * `rate`: items a second. `cpu`: CPU microseconds an item. `p50`, `p95`: milliseconds for an item. `calls`: those of an item.
   * `memory`: the highest resident set, in megabytes.
   */
  figure: 'rate' | 'cpu' | 'p50' | 'p95' | 'calls' | 'memory';
  atLeast?: number;
  atMost?: number;
}

/** What the command line says about how to measure. */
export interface BenchmarkOptions {
  /** A folder for CPU profiles; without it none are made. */
  profileFolder?: string | undefined;
}

/** A benchmark: a file of this folder exports one as `benchmark` and is named after it. */
export interface Benchmark {
  /** What is compared, in a line. */
  title: string;
  /** What is counted: `document`. */
  item: string;
  /** How many of them a full round has. */
  items: number;
  /** How many rounds count; every contender has one before them that does not. */
  rounds: number;
  targets: Target[];
  /** Starts everything. What was started is ended with the contenders, and with this process. */
  prepare(options: BenchmarkOptions): Promise<Contender[]>;
}

/** What goes on for so long that it only runs when it is named: a file of this folder exports one as `longRun`. */
export interface LongRun {
  /** How long when the command line does not say. */
  minutes: number;
  /** Throws when anything was lost or done twice. */
  run(minutes: number): Promise<void>;
}
