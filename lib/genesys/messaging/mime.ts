import type { MediaType } from './message';

/** The MIME types of what people send in chats, by the ending of the file. */
const BY_ENDING: Readonly<Record<string, string>> = {
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  png: 'image/png',
  gif: 'image/gif',
  webp: 'image/webp',
  mp3: 'audio/mpeg',
  ogg: 'audio/ogg',
  wav: 'audio/wav',
  m4a: 'audio/mp4',
  mp4: 'video/mp4',
  mov: 'video/quicktime',
  '3gp': 'video/3gpp',
  webm: 'video/webm',
  pdf: 'application/pdf',
  txt: 'text/plain',
  csv: 'text/csv',
  zip: 'application/zip',
  doc: 'application/msword',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  xls: 'application/vnd.ms-excel',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  ppt: 'application/vnd.ms-powerpoint',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
};

/** The MIME type of a file, which Genesys requires: by the ending of its name, or of its address. */
export function mimeOf(filename: string | undefined, url: string): string {
  const path = URL.canParse(url) ? new URL(url).pathname : url;
  for (const name of [filename, path]) {
    const ending = /\.([A-Za-z0-9]{1,5})$/.exec(name ?? '')?.[1];
    const mime = ending === undefined ? undefined : BY_ENDING[ending.toLowerCase()];
    if (mime !== undefined) return mime;
  }
  return 'application/octet-stream';
}

/** The kind of file that a MIME type stands for. */
export function mediaTypeOf(mime: string): MediaType {
  const [kind] = mime.split('/');
  if (kind === 'image') return 'Image';
  if (kind === 'audio') return 'Audio';
  return kind === 'video' ? 'Video' : 'File';
}
