/** A data centre of Zoho. An account lives in one of them, and its tokens work nowhere else. */
export interface ZohoDataCenter {
  name: string;
  accountsUrl: string;
  apiUrl: string;
}

/** Those that are known; the host names of Canada are as irregular as they look. */
export const ZOHO_DATA_CENTERS: readonly ZohoDataCenter[] = [
  center('United States', 'accounts.zoho.com', 'www.zohoapis.com'),
  center('Europe', 'accounts.zoho.eu', 'www.zohoapis.eu'),
  center('India', 'accounts.zoho.in', 'www.zohoapis.in'),
  center('Australia', 'accounts.zoho.com.au', 'www.zohoapis.com.au'),
  center('Japan', 'accounts.zoho.jp', 'www.zohoapis.jp'),
  center('China', 'accounts.zoho.com.cn', 'www.zohoapis.com.cn'),
  center('Canada', 'accounts.zohocloud.ca', 'www.zohoapis.ca'),
  center('Saudi Arabia', 'accounts.zoho.sa', 'www.zohoapis.sa'),
  center('United Kingdom', 'accounts.zoho.uk', 'www.zohoapis.uk'),
  center('United Arab Emirates', 'accounts.zoho.ae', 'www.zohoapis.ae'),
];

function center(name: string, accounts: string, api: string): ZohoDataCenter {
  return { name, accountsUrl: `https://${accounts}`, apiUrl: `https://${api}` };
}

/** The API address that belongs to an accounts address, until a token answer has named one. */
function apiUrlFor(accountsUrl: string): string {
  const known = ZOHO_DATA_CENTERS.find((each) => each.accountsUrl === accountsUrl);
  // Whoever has an accounts server of another name has the API beside it.
  return known?.apiUrl ?? accountsUrl;
}

const USUAL_API = /^https:\/\/www\.zohoapis\.[a-z.]+$/;

/**
 * The address of the API. What the token answer names is right, except where someone has set an address that is none
 * of the usual ones: a sandbox, or a server in between.
 */
export function apiUrlOf({
  configured,
  named,
  accountsUrl,
}: {
  configured: string | undefined;
  named: string | undefined;
  accountsUrl: string;
}): string {
  if (configured !== undefined && (named === undefined || !USUAL_API.test(configured))) return configured;
  return named ?? apiUrlFor(accountsUrl);
}
