import type { IncomingHttpHeaders } from 'node:http';
import { ElasticError, SimpleError } from './errors';

const JSON_TYPES = new Set([
  'application/json',
  'application/x-ndjson',
  'application/vnd.elasticsearch+json',
  'application/vnd.elasticsearch+x-ndjson',
]);
const KNOWN_TYPES = new Set([...JSON_TYPES, 'text/plain', 'text/csv', '*/*', 'application/*']);

interface MediaType {
  name: string;
  parameters: Map<string, string>;
}

/**
 * Judges the Content-Type and Accept headers the way the server does before it looks at anything else, and gives
 * back the content type of the answer. Throws the 406 or 400 that the server would answer with.
 *
 * @param majorVersion of the server; it speaks its own version and the one before.
 */
export function negotiate(headers: IncomingHttpHeaders, hasBody: boolean, majorVersion: number): string {
  const contentType = headers['content-type'];
  const accept = headers.accept;
  const parsedContentType = parse(contentType, 'Content-Type');
  const parsedAccept = parse(accept?.split(',')[0], 'Accept');
  checkVersions(parsedContentType, parsedAccept, contentType, accept, hasBody, majorVersion);
  if (hasBody && !parsedContentType) throw notAcceptable('Content-Type header is missing');
  if (hasBody && !JSON_TYPES.has(parsedContentType?.name ?? ''))
    throw notAcceptable(`Content-Type header [${contentType}] is not supported`);
  if (parsedAccept && !KNOWN_TYPES.has(parsedAccept.name))
    throw mediaTypeHeader('Accept', { type: 'illegal_argument_exception', reason: `invalid media type [${accept}]` });
  const compatible = parsedAccept?.parameters.get('compatible-with');
  return compatible === undefined
    ? 'application/json'
    : `application/vnd.elasticsearch+json;compatible-with=${compatible}`;
}

function parse(header: string | undefined, name: string): MediaType | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const [type = '', ...rest] = header.split(';').map((piece) => piece.trim().toLowerCase());
  const malformed = () =>
    mediaTypeHeader(name, { type: 'illegal_argument_exception', reason: `invalid media-type [${header}]` });
  if (!/^[^\s/]+\/[^\s/]+$/.test(type)) throw malformed();
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    if (parameter === '') continue;
    const [key, value, extra] = parameter.split('=');
    if (!key || value === undefined || extra !== undefined || /\s/.test(parameter)) throw malformed();
    parameters.set(key, value);
  }
  return { name: type, parameters };
}

/** `RestCompatibleVersionHelper.getCompatibleVersion` of the server. */
function checkVersions(
  contentType: MediaType | undefined,
  accept: MediaType | undefined,
  contentTypeHeader: string | undefined,
  acceptHeader: string | undefined,
  hasBody: boolean,
  major: number,
): void {
  const wanted = version(accept);
  const sent = version(contentType);
  const acceptText = `Accept=${acceptHeader ?? 'null'}`;
  const contentTypeText = `Content-Type=${contentTypeHeader ?? 'null'}`;
  const bounds = `version must be either version ${major} or ${major - 1}, but found`;
  const supported = (candidate: number | undefined) =>
    candidate === undefined || candidate === major || candidate === major - 1;
  const refuse = (reason: string) => mediaTypeHeader('Accept, Content-Type', { type: 'status_exception', reason });
  if (!supported(wanted)) throw refuse(`Accept ${bounds} ${wanted}. ${acceptText}`);
  if (!hasBody) return;
  if (!supported(sent)) throw refuse(`Content-Type ${bounds} ${sent}. ${contentTypeText}`);
  const both =
    'A compatible version is required on both Content-Type and Accept headers if either one has requested a compatible version';
  if ((sent ?? major) !== (wanted ?? major))
    throw refuse(`${both} and the compatible versions must match. ${acceptText}, ${contentTypeText}`);
  if ((sent === undefined) !== (wanted === undefined)) throw refuse(`${both}. ${acceptText}, ${contentTypeText}`);
}

function version(type: MediaType | undefined): number | undefined {
  if (!type?.name.startsWith('application/vnd.elasticsearch+')) return undefined;
  const text = type.parameters.get('compatible-with');
  return text === undefined ? undefined : Number(text);
}

function notAcceptable(reason: string): SimpleError {
  return new SimpleError(406, { type: 'not_acceptable', reason });
}

function mediaTypeHeader(names: string, cause: { type: string; reason: string }): ElasticError {
  return new ElasticError(400, {
    type: 'media_type_header_exception',
    reason: `Invalid media-type value on headers [${names}]`,
    caused_by: cause,
  });
}
