import { createHash, timingSafeEqual } from 'node:crypto';
import type { ServiceTabs } from './members';

/** What a deployed contact-monitor wants. */
export interface Monitor {
  /** The name of the service whose nodes are on the same tab; without one it watches everything and names nothing. */
  service: string | undefined;
  flowIds(): string[];
  metricsEnabled: boolean;
  /** Opens `/logs`; without one there is no `/logs`. */
  token: string | undefined;
}

/** The monitors that are deployed in this process. */
export class Monitors {
  private readonly live = new Set<Monitor>();

  /** Adds a monitor and gives back the function that removes it again. */
  add(monitor: Monitor): () => void {
    this.live.add(monitor);
    return () => {
      this.live.delete(monitor);
    };
  }

  /** Those that answer for one service, or all of them. */
  answering(service?: string): Monitor[] {
    return [...this.live].filter((monitor) => service === undefined || monitor.service === service);
  }

  /** The services that are named, with their tabs. */
  services(): ServiceTabs[] {
    return [...this.live].flatMap(({ service, flowIds }) =>
      service === undefined ? [] : [{ service, flowIds: flowIds() }],
    );
  }
}

/** The monitors of this process. */
export const monitors = new Monitors();

/** Whether an `Authorization` header holds one of the tokens as a bearer. It takes the same time for every guess. */
export function isAuthorized(header: string | undefined, tokens: string[]): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (given === undefined) return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = digest(given);
  return tokens.map((token) => timingSafeEqual(digest(token), expected)).includes(true);
}
