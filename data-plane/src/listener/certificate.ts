import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { ListenerTls } from './listener.js';

/** A certificate chain and its key, PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * The certificate or its key cannot be used. It has no cause: the code of one that a file has, such as EACCES, would
 * be taken for a reason not to listen.
 */
class CertificateError extends Error {
  readonly code = 'CERTIFICATE_UNUSABLE';
}

/** Reads the certificate files. Rejects when one cannot be read, is not PEM, or the key is not the certificate's. */
export async function readCertificate(tls: ListenerTls): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem('certificate', tls.certFile), readPem('key', tls.keyFile)]);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    const why = OPENSSL_REASONS.find(([words]) => words.test(said))?.[1] ?? said;
    throw new CertificateError(
      `The certificate ${tls.certFile} with the key ${tls.keyFile} cannot be used: ${why}.`,
    );
  }
  return { cert, key };
}

/** What OpenSSL says of a file that it cannot read, and what that means. */
const OPENSSL_REASONS: readonly (readonly [words: RegExp, meaning: string])[] = [
  [/no start line/, 'the certificate is not PEM'],
  [
    /DECODER routines::unsupported|bad decrypt|interrupted or cancelled/,
    'the key is not PEM, or has a passphrase',
  ],
];

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
};

async function readPem(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code = 'unknown reason' } = cause as NodeJS.ErrnoException;
    throw new CertificateError(`The ${what} file ${path} cannot be read: ${REASONS[code] ?? code}.`);
  }
}
