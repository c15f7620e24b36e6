import { ContactError, describe, type ErrorCode } from '../core/errors';

interface Reply {
  code: ErrorCode;
  retryable?: boolean;
  advice?: string;
}

/** What a reply code of AMQP means, and what to do about it. */
const REPLIES: Record<number, Reply> = {
  311: { code: 'REJECTED', advice: 'Make the message smaller: the broker does not take one of this size.' },
  402: { code: 'REJECTED' },
  403: { code: 'REFUSED', advice: 'Check the user, the password and the rights on the virtual host.' },
  404: {
    code: 'NOT_FOUND',
    retryable: true,
    advice: 'Create it, or let the node declare it; until then it is tried again by itself.',
  },
  405: { code: 'BUSY', advice: 'Another connection uses it exclusively; it is tried again by itself.' },
  406: {
    code: 'CONFIGURATION',
    advice:
      'It exists with other properties: set the node to these, or delete it in the broker so that it is made anew.',
  },
  530: { code: 'REFUSED', advice: 'Check the name of the virtual host and the rights of the user on it.' },
};

/** The reply code of the broker in an error of the client, which tells it as a property or only in its text. */
export function replyCode(thrown: unknown): number | undefined {
  const { code } = (thrown ?? {}) as { code?: unknown };
  if (typeof code === 'number') return code;
  const text = thrown instanceof Error ? thrown.message : '';
  const found = /\b(\d{3}) \([A-Z-_]+\)/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Any failure of the broker or of the way to it. `attempted` and `target` are as in {@link ContactError}. */
export function brokerFailure(thrown: unknown, attempted: string, target?: string): ContactError {
  if (thrown instanceof ContactError) return thrown;
  const status = replyCode(thrown);
  const { code, retryable, advice } = replyOf(thrown, status);
  return new ContactError(code, {
    attempted,
    ...(target === undefined ? {} : { target }),
    answer: said(thrown),
    ...(advice === undefined ? {} : { advice }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(status === undefined ? {} : { status }),
    cause: thrown,
  });
}

function replyOf(thrown: unknown, status: number | undefined): Reply {
  // The one use of 406 that is not about a declaration.
  if (status === 406 && describe(thrown).includes('acknowledgement')) return { code: 'DELIVERY_EXPIRED' };
  return REPLIES[status ?? 0] ?? { code: 'UNREACHABLE' };
}

/** The client's wrapping around what the broker said helps nobody. */
function said(thrown: unknown): string {
  const text = describe(thrown);
  const quoted = /with message "(.*)"/s.exec(text)?.[1];
  return quoted ?? text.replace(/^(Operation failed: |Channel closed by server: )/, '');
}
