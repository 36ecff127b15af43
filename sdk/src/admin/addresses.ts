/** Where control planes are, and what they are shown. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';

/** PEM of the certificates that are trusted, and of the one that is shown with its key. */
export interface AdminTls {
  /** Default those that Node.js trusts. */
  readonly ca?: string | Buffer | undefined;
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
}

/** A control plane. */
export interface ControlPlaneAddress {
  /** `host:port`, as it is shown. */
  readonly text: string;
  readonly credentials: ChannelCredentials;
}

/**
 * @param address `host:port`, which is encrypted unless it is on this machine or `tls` is absent there; or with
 *   `https://` or `http://` in front, which decides
 * @throws TypeError for anything else
 */
export function controlPlaneAddress(address: string, tls: AdminTls | undefined): ControlPlaneAddress {
  const [, scheme, rest = address] = /^(\w+):\/\/(.*?)\/?$/.exec(address) ?? [];
  const url = `http://${rest}`;
  if ((scheme !== undefined && !/^https?$/.test(scheme)) || !/:\d+$/.test(rest) || !URL.canParse(url))
    throw new TypeError(`${JSON.stringify(address)} is not an address; give host:port, such as cp-1:7070`);
  const isEncrypted = scheme === undefined ? tls !== undefined || !isLoopback(rest) : scheme === 'https';
  return { text: rest, credentials: isEncrypted ? encrypted(tls ?? {}) : credentials.createInsecure() };
}

function encrypted({ ca, cert, key }: AdminTls): ChannelCredentials {
  const bytes = (pem: string | Buffer | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return credentials.createSsl(bytes(ca), bytes(key), bytes(cert));
}

function isLoopback(address: string): boolean {
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** The token that a call shows; read anew for each call, so that the file may be replaced. */
export async function readToken({
  token,
  tokenFile,
}: {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
}): Promise<string | undefined> {
  const text = tokenFile === undefined ? token : (await readFile(tokenFile, 'utf8')).trim();
  if (text === undefined || text === '') return undefined;
  // It goes into a header; what else is in it is nobody's to show.
  if (!/^[\x21-\x7e]+$/.test(text)) throw new TypeError('the token has characters that no token has');
  return text;
}
