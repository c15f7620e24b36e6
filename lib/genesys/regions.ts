import { ContactError } from '../core/errors';

/** The regions of Genesys Cloud with their domains, as the vendor's SDK 262 lists them. New ones appear now and then. */
export const GENESYS_REGIONS: Readonly<Record<string, string>> = {
  us_east_1: 'mypurecloud.com',
  us_east_2: 'use2.us-gov-pure.cloud',
  us_west_2: 'usw2.pure.cloud',
  ca_central_1: 'cac1.pure.cloud',
  mx_central_1: 'mxc1.pure.cloud',
  sa_east_1: 'sae1.pure.cloud',
  eu_west_1: 'mypurecloud.ie',
  eu_west_2: 'euw2.pure.cloud',
  eu_central_1: 'mypurecloud.de',
  eu_central_2: 'euc2.pure.cloud',
  eusc_de_east_1: 'edee1.eusc-pure.cloud',
  ap_south_1: 'aps1.pure.cloud',
  ap_southeast_1: 'apse1.pure.cloud',
  ap_southeast_2: 'mypurecloud.com.au',
  ap_northeast_1: 'mypurecloud.jp',
  ap_northeast_2: 'apne2.pure.cloud',
  ap_northeast_3: 'apne3.pure.cloud',
  me_central_1: 'mec1.pure.cloud',
};

/** Where an organization is reached. */
export interface GenesysAddresses {
  /** Base address of the token endpoint, without a slash at the end. */
  loginUrl: string;
  /** Base address of the platform API, without a slash at the end. */
  apiUrl: string;
}

const DOMAIN = /^(?=.{4,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+$/;

/**
 * The addresses of a region, given by its domain (`usw2.pure.cloud`) or its name (`us_west_2`, also with dashes). A
 * whole address of one of the region's hosts is understood too. `overrides` are for gateways and tests and win; with
 * both of them no region is needed. Throws `CONFIGURATION`.
 */
export function genesysAddresses(
  region: string | undefined,
  overrides: { loginUrl?: string | undefined; apiUrl?: string | undefined } = {},
): GenesysAddresses {
  const { loginUrl, apiUrl } = overrides;
  if (loginUrl && apiUrl) return { loginUrl, apiUrl };
  const domain = domainOf(region ?? '');
  return { loginUrl: loginUrl ?? `https://login.${domain}`, apiUrl: apiUrl ?? `https://api.${domain}` };
}

function domainOf(given: string): string {
  const plain = given
    .trim()
    .toLowerCase()
    .replace(/^\w+:\/\//, '')
    .replace(/[/:].*$/, '');
  const domain = GENESYS_REGIONS[plain.replaceAll('-', '_')] ?? plain.replace(/^(api|login|apps|streaming)\./, '');
  if (DOMAIN.test(domain)) return domain;
  throw new ContactError('CONFIGURATION', {
    attempted: 'find the addresses of Genesys Cloud',
    answer: given === '' ? 'no region is set' : `"${given}" is no region`,
    advice: 'Set the region to a domain such as usw2.pure.cloud.',
  });
}
