import { createHash } from 'node:crypto';
import { delay } from '../../core/clock';
import { ContactError, toContactError } from '../../core/errors';
import type { HttpClient } from '../../core/http';
import type { Verdict } from '../../core/verdicts';
import type { GenesysClient } from '../client';
import type { Attachment } from './message';

/** The largest file that Genesys takes, in bytes. */
const LARGEST_FILE_BYTES = 25_000_000;
const MOST_REDIRECTS = 3;
const TRANSFER_TIMEOUT_MS = 60_000;
const LOOKS = 20;
const FIRST_LOOK_MS = 100;
const LONGEST_LOOK_MS = 2_000;
/** Characters that the vendor does not take in the name of a file. */
const FORBIDDEN = /[\s\\{^}%`\]">[~<#|]+/g;

/** Settings of {@link uploadMedia}. */
export interface MediaOptions {
  client: Pick<GenesysClient, 'exchange'>;
  /** For the file's own address and the one it is uploaded to, where the token of Genesys has no place. */
  http: HttpClient;
  /** `/api/v2/.../communications/<id>/messages`. */
  path: string;
  /** Hosts that files may come from; any when empty. */
  hosts: readonly string[];
  signal: AbortSignal;
}

/** The id under which an agent's message can show the file, or why there is none. */
export type MediaResult = { mediaId: string } | { verdict: Verdict };

/**
 * Brings a file to Genesys so that an agent's message can show it, in the vendor's four steps: it is announced, its
 * bytes go to another address, Genesys looks at it, and the message names its id (which is left to the caller). All of
 * it can be done again: a file that no message names is nothing to anyone.
 */
export async function uploadMedia(attachment: Attachment, options: MediaOptions): Promise<MediaResult> {
  const { client, http, path, signal } = options;
  try {
    const bytes = await fetchFile(attachment, options);
    const announced = await client.exchange('POST', `${path}/media/uploads`, {
      what: 'announce a file',
      body: {
        fileName: fileName(attachment),
        contentLengthBytes: bytes.length,
        contentMd5: createHash('md5').update(bytes).digest('base64'),
      },
      signal,
    });
    if (announced.verdict.kind !== 'delivered') return { verdict: repeatable(announced.verdict) };
    const { id, uploadUrl, uploadHeaders } = (announced.body ?? {}) as Partial<Announced>;
    if (!id || !uploadUrl) return { verdict: { kind: 'rejected', error: misunderstood('announce a file') } };
    const put = await http.send({
      method: 'PUT',
      url: uploadUrl,
      headers: { ...uploadHeaders },
      body: bytes,
      what: 'upload a file',
      timeoutMs: TRANSFER_TIMEOUT_MS,
      signal,
    });
    if (put.status < 200 || put.status >= 300) throw transferError('upload a file', uploadUrl, put.status);
    return await untilLookedAt(id, options);
  } catch (thrown) {
    const error = toContactError(thrown, 'bring a file to Genesys');
    if (error.code === 'CLOSED') throw error;
    if (!error.retryable) return { verdict: { kind: 'rejected', error } };
    // The addresses are not those of the platform: they say nothing about how well it is.
    return { verdict: { kind: 'busy', fault: 'limit', error } };
  }
}

interface Announced {
  id: string;
  uploadUrl: string;
  uploadHeaders: Record<string, string>;
}

async function fetchFile({ url }: Attachment, { http, hosts, signal }: MediaOptions): Promise<Buffer> {
  let address = url;
  for (let hop = 0; hop <= MOST_REDIRECTS; hop += 1) {
    checkHost(address, hosts);
    const answer = await http.sendForBytes({
      method: 'GET',
      url: address,
      what: 'fetch a file',
      timeoutMs: TRANSFER_TIMEOUT_MS,
      signal,
      headers: { Accept: '*/*' },
    });
    const { location } = answer.headers;
    if (answer.status >= 300 && answer.status < 400 && location && URL.canParse(location, address)) {
      address = new URL(location, address).href;
      continue;
    }
    if (answer.status !== 200) throw transferError('fetch a file', address, answer.status);
    checkSize(address, answer.bytes.length);
    return answer.bytes;
  }
  throw new ContactError('REJECTED', {
    attempted: 'fetch a file',
    target: new URL(url).host,
    answer: 'it is nowhere: each address leads to another',
  });
}

function checkHost(address: string, hosts: readonly string[]): void {
  const { host, hostname, protocol } = new URL(address);
  const isAllowed = hosts.length === 0 || hosts.includes(host) || hosts.includes(hostname);
  if (isAllowed && /^https?:$/.test(protocol)) return;
  throw new ContactError('INVALID_INPUT', {
    attempted: 'fetch a file',
    target: host,
    answer: 'files may not come from this host',
    advice: 'Add the host to the media hosts, or correct the message.',
  });
}

function checkSize(address: string, bytes: number): void {
  if (bytes > 0 && bytes <= LARGEST_FILE_BYTES) return;
  throw new ContactError('REJECTED', {
    attempted: 'send a file',
    target: new URL(address).host,
    answer: `it has ${bytes} bytes, and Genesys takes from 1 to ${LARGEST_FILE_BYTES}`,
  });
}

/** The vendor's third step: the file is examined. */
async function untilLookedAt(id: string, { client, path, signal }: MediaOptions): Promise<MediaResult> {
  const attempted = 'look whether Genesys has taken a file';
  for (let look = 0; look < LOOKS; look += 1) {
    // Given up meanwhile, the next look says so.
    if (look > 0) await delay(Math.min(LONGEST_LOOK_MS, FIRST_LOOK_MS * 2 ** (look - 1)), { signal });
    const { verdict, body } = await client.exchange('GET', `${path}/media/${encodeURIComponent(id)}`, {
      what: attempted,
      signal,
    });
    if (verdict.kind !== 'delivered') return { verdict: repeatable(verdict) };
    const { status } = (body ?? {}) as { status?: unknown };
    if (status === 'valid') return { mediaId: id };
    if (status === 'invalid') {
      const error = new ContactError('REJECTED', {
        attempted: 'send a file',
        answer: 'Genesys does not take it',
        advice: 'By default only jpg, png and gif go to customers: allow its type in the content profile.',
      });
      return { verdict: { kind: 'rejected', error } };
    }
  }
  const error = new ContactError('BUSY', { attempted, answer: 'it was still being examined after many looks' });
  return { verdict: { kind: 'busy', fault: 'limit', error } };
}

/** What is sent before the message itself can be sent again, whatever became of it. */
function repeatable(verdict: Verdict): Verdict {
  return verdict.kind === 'unknown' ? { kind: 'busy', fault: 'failure', error: verdict.error } : verdict;
}

function fileName({ filename, url }: Attachment): string {
  const name = filename ?? new URL(url).pathname.split('/').pop() ?? '';
  return name.replace(FORBIDDEN, '_') || 'file';
}

function misunderstood(attempted: string): ContactError {
  return new ContactError('PROTOCOL', { attempted, answer: 'the answer has no id and address', retryable: false });
}

function transferError(attempted: string, url: string, status: number): ContactError {
  const { host } = new URL(url);
  const isPassing = status === 408 || status === 429 || status >= 500;
  return new ContactError(isPassing ? 'BUSY' : 'REJECTED', {
    attempted,
    target: host,
    answer: `HTTP ${status}`,
    status,
    ...(isPassing ? {} : { advice: 'Check that the address can be fetched without a login.' }),
  });
}
