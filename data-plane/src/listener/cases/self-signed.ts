import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ListenerTls } from '../listener.js';

const ECDSA_WITH_SHA256 = sequence(objectId(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));

/** A folder with certificates that is removed when the test is over. */
export class CertificateFolder {
  readonly #path = mkdtempSync(join(tmpdir(), 'listener-tls-'));

  constructor() {
    onTestFinished(() => rmSync(this.#path, { recursive: true }));
  }

  get tls(): ListenerTls {
    return { certFile: join(this.#path, 'cert.pem'), keyFile: join(this.#path, 'key.pem') };
  }

  /** Puts a new certificate with this common name into the files. */
  issue(commonName: string): void {
    const { certificate, key } = selfSigned(commonName);
    this.write({ certificate, key });
  }

  write(parts: { certificate?: string; key?: string }): void {
    if (parts.certificate !== undefined) writeFileSync(this.tls.certFile, parts.certificate);
    if (parts.key !== undefined) writeFileSync(this.tls.keyFile, parts.key);
  }
}

/** A certificate that signs itself, in the least form that RFC 5280 section 4.1 knows (version 1). */
export function selfSigned(commonName: string): { certificate: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(set(sequence(objectId(0x55, 0x04, 0x03), element(0x0c, Buffer.from(commonName)))));
  const validity = sequence(utcTime(-1), utcTime(30));
  const keyInfo = publicKey.export({ type: 'spki', format: 'der' });
  const serial = element(0x02, Buffer.from([1]));
  const content = sequence(serial, ECDSA_WITH_SHA256, name, validity, name, keyInfo);
  const signature = element(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', content, privateKey)]));
  const der = sequence(content, ECDSA_WITH_SHA256, signature).toString('base64');
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** One element of DER: tag, length, content. */
function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function set(...parts: Buffer[]): Buffer {
  return element(0x31, Buffer.concat(parts));
}

function objectId(...bytes: number[]): Buffer {
  return element(0x06, Buffer.from(bytes));
}

function utcTime(daysFromNow: number): Buffer {
  const time = new Date(Date.now() + daysFromNow * 86_400_000).toISOString();
  return element(0x17, Buffer.from(`${time.slice(2, 19).replace(/[-:T]/g, '')}Z`));
}
