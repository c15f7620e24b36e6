import type { Metric } from './registry';

/** A number that only grows, for `/metrics`; its name ends in `_total`, unless another service has named it. */
export function counter(name: string, help: string, value: number): Metric {
  return { name, help, type: 'counter', value };
}

/** A number that goes up and down, for `/metrics`. */
export function gauge(name: string, help: string, value: number): Metric {
  return { name, help, type: 'gauge', value };
}
