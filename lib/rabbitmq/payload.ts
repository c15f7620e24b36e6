import { ContactError, describe } from '../core/errors';

/** How the content of a message is read. `auto` goes by its content type. */
export type PayloadForm = 'auto' | 'json' | 'text' | 'buffer';

/** The content as a value. Throws `INVALID_INPUT` when it should be JSON and is not. */
export function readPayload(content: Buffer, contentType: unknown, form: PayloadForm): unknown {
  const type = typeof contentType === 'string' ? contentType.toLowerCase() : '';
  if (form === 'buffer') return content;
  if (form === 'text') return content.toString();
  if (form === 'json' || /\bjson\b/.test(type)) return parse(content);
  if (type.startsWith('text/')) return content.toString();
  if (type !== '') return content;
  const text = content.toString();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function parse(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString());
  } catch (thrown) {
    throw new ContactError('INVALID_INPUT', {
      attempted: 'read the content as JSON',
      answer: describe(thrown),
      advice: 'Correct the publisher, or let the node read text.',
    });
  }
}
