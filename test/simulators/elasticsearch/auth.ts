import type { ElasticError } from './errors';
import { unauthenticated } from './errors';

/** The credentials that are right. Without any the security of the server is off and everyone may do everything. */
export interface SimulatorAuth {
  basic?: { username: string; password: string };
  /** The encoded form, `base64(id:key)`, as it stands in the header. */
  apiKey?: string;
  bearer?: string;
}

const UNKNOWN = 'unable to authenticate with provided credentials and anonymous access is not allowed for this request';

/** The 401 for a request with this Authorization header, or `undefined` when it is right. */
export function refuseCredentials(
  auth: SimulatorAuth | undefined,
  header: string | undefined,
  uri: string,
): ElasticError | undefined {
  if (!auth || (!auth.basic && auth.apiKey === undefined && auth.bearer === undefined)) return undefined;
  if (header === undefined) return unauthenticated(`missing authentication credentials for REST request [${uri}]`);
  const [, scheme = '', value = ''] = /^(\S+)\s+(.*)$/.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case 'basic': {
      const [, username = '', password] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, 'base64').toString()) ?? [];
      if (auth.basic && username === auth.basic.username && password === auth.basic.password) return undefined;
      return unauthenticated(`unable to authenticate user [${username}] for REST request [${uri}]`);
    }
    case 'apikey': {
      if (value === auth.apiKey) return undefined;
      const [id = ''] = Buffer.from(value, 'base64').toString().split(':');
      return unauthenticated(UNKNOWN, {
        additional_unsuccessful_credentials: `API key: unable to find apikey with id ${id}`,
      });
    }
    case 'bearer':
      return value === auth.bearer ? undefined : unauthenticated(UNKNOWN);
    default:
      return unauthenticated(`missing authentication credentials for REST request [${uri}]`);
  }
}
