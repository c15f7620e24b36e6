import { createHash, randomUUID } from 'node:crypto';
import { type Answer, badRequest, notFound, PlatformError } from '../answers';
import type { ApiRequest, SimulatorServer } from '../server';
import { bodyOf, text, whole } from './bodies';
import type { Participant } from './conversations';

/** A file on its way to an agent's message. */
interface Media {
  readonly id: string;
  readonly name: string;
  readonly participant: Participant;
  readonly length: number;
  readonly md5: string | undefined;
  readonly headers: Record<string, string>;
  status: 'uploading' | 'valid' | 'invalid';
  /** How often its status is still `uploading` after the upload. */
  pending: number;
}

/** Largest file, in bytes. */
export const largestFile = 25_000_000;
/** What the default content profile lets out to customers. */
const allowed = /\.(jpe?g|png|gif)$/i;
/** Characters that a file name must not have. */
const forbidden = /[\s\\{^}%`\]">[~<#|]/;
const permission = 'conversation:message:create';
const base = '/api/v2/conversations/messages/{conversationId}/communications/{communicationId}/messages/media';

/** Media of an agent's leg: registered, uploaded to another address, looked at until they are valid. */
export class MediaUploads {
  private readonly byId = new Map<string, Media>();

  constructor(
    private readonly server: SimulatorServer,
    private readonly legOf: (request: ApiRequest) => Participant,
    /** How often a file is still `uploading` when it is looked at after its upload. */
    private readonly pendingLooks: number,
  ) {
    server.route(
      { method: 'POST', path: `${base}/uploads`, permission, handle: (request) => this.register(request) },
      { method: 'GET', path: `${base}/{mediaId}`, permission, handle: (request) => this.look(request) },
    );
    server.mount('/uploads/', (request) => this.upload(request));
  }

  /** Whether a file may be sent on this leg. */
  isValid(mediaId: string, participant: Participant): boolean {
    const media = this.byId.get(mediaId);
    return media?.status === 'valid' && media.participant === participant;
  }

  private register(request: ApiRequest): Answer {
    const participant = this.legOf(request);
    const body = bodyOf(request, { fileName: text(), contentLengthBytes: whole(1), contentMd5: text() }, [
      'fileName',
      'contentLengthBytes',
    ]);
    const { fileName, contentLengthBytes, contentMd5 } = body as {
      fileName: string;
      contentLengthBytes: number;
      contentMd5?: string;
    };
    if (forbidden.test(fileName)) throw badRequest('The file name has a character that is not allowed.');
    if (contentLengthBytes > largestFile) {
      throw new PlatformError(413, 'request.entity.too.large', `The file is larger than ${largestFile} bytes.`);
    }
    const id = randomUUID();
    const headers = { 'x-amz-tagging': `media=${id}`, 'content-type': 'application/octet-stream' };
    this.byId.set(id, {
      id,
      name: fileName,
      participant,
      length: contentLengthBytes,
      md5: contentMd5,
      headers,
      status: 'uploading',
      pending: this.pendingLooks,
    });
    const uploadUrl = `http://${this.server.host}/uploads/${id}`;
    return { status: 200, body: { id, name: fileName, uploadUrl, uploadHeaders: headers } };
  }

  private upload({ method, path, headers, body }: Omit<ApiRequest, 'token'>): Answer {
    const media = this.byId.get(path.slice('/uploads/'.length));
    if (!media) throw notFound('Upload not found.');
    if (method !== 'PUT') throw new PlatformError(405, 'method.not.allowed', 'Only PUT is allowed.');
    if (headers.authorization) throw badRequest('Only one auth mechanism is allowed.');
    for (const [name, value] of Object.entries(media.headers)) {
      if (headers[name] !== value) throw new PlatformError(403, 'signature.mismatch', `The header ${name} differs.`);
    }
    if (body.length !== media.length) throw badRequest('The body has not the announced length.');
    if (media.md5 && createHash('md5').update(body).digest('base64') !== media.md5) throw badRequest('Bad digest.');
    media.status = 'valid';
    if (!allowed.test(media.name)) media.status = 'invalid';
    return { status: 200 };
  }

  private look(request: ApiRequest): Answer {
    const media = this.byId.get(request.parameters['mediaId'] ?? '');
    if (!media || media.participant !== this.legOf(request)) throw notFound('Media not found.');
    const hidden = media.status !== 'uploading' && media.pending > 0;
    if (hidden) media.pending -= 1;
    const { id, name, status } = media;
    return { status: 200, body: { id, name, status: hidden ? 'uploading' : status } };
  }
}
