import type { Request, Response } from 'express';
import { healthAnswer } from '../monitor/health';
import { healthPage, PAGE_LANGUAGES, type PageLanguage } from '../monitor/health-page';
import type { LiveFrame } from '../monitor/live-view';
import { logRecorder, logsAnswer, parseLevel } from '../monitor/logs';
import { membersOf, servicesOf } from '../monitor/members';
import { metricGroups, metricsText } from '../monitor/metrics';
import { isAuthorized, monitors } from '../monitor/monitors';
import { monitored } from '../monitor/registry';
import { worstOf } from '../monitor/states';
import { statsAnswer } from '../monitor/stats';
import { httpRoute } from './http';
import { liveFeed } from './live-routes';
import type { Red } from './node';

const DEFAULT_LOG_LINES = 50;
const MOST_LOG_LINES = 200;

/** Answers for one service, or for the whole runtime. `false`: there is nothing here, let the next route answer. */
type Answer = (request: Request, response: Response, service: string | undefined) => Promise<unknown> | unknown;

/**
 * Registers `/health`, `/stats`, `/metrics` and `/logs`, and the same below `/<service>`. They answer while a monitor
 * is deployed, for a service while a monitor of this service is.
 */
export function monitorRoutes(RED: Red): void {
  const health: Answer = (request, response, service) => {
    if (request.query['view'] === 'live') return response.json(ofService(liveFeed(RED).watch(), service));
    const answer = healthAnswer(members(service));
    // A process that answers is alive: to restart it would not cure a remote system.
    const isWell = answer.status !== 'unhealthy' || request.query['probe'] === 'live';
    response.status(isWell ? 200 : 503).vary('Accept');
    if (request.accepts(['json', 'html']) !== 'html') return response.json(answer);
    const language = request.acceptsLanguages([...PAGE_LANGUAGES]) || PAGE_LANGUAGES[0];
    return response.type('html').send(healthPage(language as PageLanguage));
  };
  const answers: Record<string, Answer> = { health, stats, metrics, logs };
  for (const [path, answer] of Object.entries(answers)) {
    for (const route of [`/${path}`, `/:service/${path}`]) {
      httpRoute(RED, 'get', route, async (request, response, next) => {
        const { service } = request.params as { service?: string };
        if (monitors.answering(service).length === 0) return next();
        response.set('Cache-Control', 'no-store');
        if ((await answer(request, response, service)) === false) next();
      });
    }
  }
}

function members(service: string | undefined) {
  return membersOf(monitored.all(), monitors.services(), service);
}

/** The part of a frame that belongs to a service. */
function ofService(frame: LiveFrame, service: string | undefined): LiveFrame {
  if (service === undefined) return frame;
  const services = frame.services.filter((each) => each.service === service);
  return { ...frame, services, status: worstOf(services.map(({ status }) => status)) };
}

const stats: Answer = (_request, response, service) => {
  response.json(statsAnswer(members(service)));
};

const metrics: Answer = async (request, response, service) => {
  if (!monitors.answering(service).some(({ metricsEnabled }) => metricsEnabled)) return false;
  if (request.accepts(['text/plain', 'application/json']) === 'application/json') {
    return response.json(metricGroups(members(service)));
  }
  const { contentType, body } = await metricsText(members(service));
  return response.type(contentType).send(body);
};

const logs: Answer = (request, response, service) => {
  const tokens = monitors.answering(service).flatMap(({ token }) => token ?? []);
  if (tokens.length === 0) return false;
  if (!isAuthorized(request.get('authorization'), tokens)) {
    return response
      .status(401)
      .set('WWW-Authenticate', 'Bearer')
      .json({ ok: false, code: 'UNAUTHORIZED', message: 'Send the monitor token as "Authorization: Bearer <token>".' });
  }
  const asked = request.query['level'];
  const level = typeof asked === 'string' && asked !== '' ? parseLevel(asked) : undefined;
  if (asked && level === undefined) {
    const message = 'The level must be one of fatal, error, warn, info, debug, trace.';
    return response.status(400).json({ ok: false, code: 'INVALID_INPUT', message });
  }
  const events = logRecorder.ring.newest(limitOf(request), level, linesOf(service));
  return response.json(logsAnswer(events, level));
};

function limitOf(request: Request): number {
  const limit = Number(request.query['limit'] ?? DEFAULT_LOG_LINES);
  return Number.isInteger(limit) && limit > 0 ? Math.min(limit, MOST_LOG_LINES) : DEFAULT_LOG_LINES;
}

/** Lines of the nodes of a service: those on its tabs, and those of the configuration nodes it uses. */
function linesOf(service: string | undefined): (event: { flow?: string; node?: { id: string } }) => boolean {
  if (service === undefined) return () => true;
  const services = monitors.services();
  const tabs = new Set(services.filter((entry) => entry.service === service).flatMap(({ flowIds }) => flowIds));
  const nodes = monitored.all().filter((node) => servicesOf(node, services).includes(service));
  const ids = new Set(nodes.map(({ id }) => id));
  return ({ flow, node }) => (flow !== undefined && tabs.has(flow)) || (node !== undefined && ids.has(node.id));
}
