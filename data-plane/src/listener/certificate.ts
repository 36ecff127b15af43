import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { ListenerTls } from './listener.js';

/** A certificate chain and its key, PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Reads the certificate files. Rejects when one cannot be read, is not PEM, or the key is not the certificate's. */
export async function readCertificate(tls: ListenerTls): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem('certificate', tls.certFile), readPem('key', tls.keyFile)]);
  try {
    createSecureContext({ cert, key });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The certificate ${tls.certFile} with the key ${tls.keyFile} cannot be used: ${why}.`, {
      cause,
    });
  }
  return { cert, key };
}

async function readPem(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new Error(`The ${what} file ${path} cannot be read: ${code}.`, { cause });
  }
}
