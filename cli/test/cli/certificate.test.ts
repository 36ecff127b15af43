import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { selfSigned } from '../../../data-plane/src/listener/cases/self-signed.js';
import { run, serve, upstreamsNamed, writeFile } from './sluice-process.js';

/** The name in the certificate that a new connection is shown. */
function servedName(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', { rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

function writeCertificate(folder: string, name: string): void {
  const { certificate, key } = selfSigned(name);
  writeFileSync(`${folder}/cert.pem`, certificate);
  writeFileSync(`${folder}/key.pem`, key);
}

test('a renewed certificate is taken while the gateway runs, a broken one is refused', async () => {
  const folder = dirname(writeFile('cert.pem', ''));
  writeCertificate(folder, 'first');
  const tls = `gateway: { listen: { tls: { cert_file: ${folder}/cert.pem, key_file: ${folder}/key.pem } } }\n`;
  const { sluice, url } = await serve(tls + upstreamsNamed('files'));
  expect(url).toMatch(/^https:/);
  expect(await servedName(url)).toBe('first');

  writeFileSync(`${folder}/cert.pem`, 'nothing of the kind');
  expect(await sluice.logged('certificate refused; the last good one stays')).toMatchObject({
    certFile: `${folder}/cert.pem`,
  });
  expect(await servedName(url)).toBe('first');

  writeCertificate(folder, 'second');
  await sluice.logged('certificate read again');
  expect(await servedName(url)).toBe('second');
});

test('sluice health says how to trust a certificate that nobody vouches for', async () => {
  const folder = dirname(writeFile('cert.pem', ''));
  writeCertificate(folder, 'localhost');
  const tls = `gateway: { listen: { tls: { cert_file: ${folder}/cert.pem, key_file: ${folder}/key.pem } } }\n`;
  const { url } = await serve(`${tls}upstreams: []\n`);
  const address = url.replace('127.0.0.1', 'localhost');

  const distrusted = await run(['health', address]);
  expect(distrusted.stderr).toMatch(/no answer about health from https:.*certificate/);
  expect(distrusted.stderr).toContain('NODE_EXTRA_CA_CERTS');
  expect(distrusted.code).not.toBe(0);

  const trusted = await run(['health', address], { NODE_EXTRA_CA_CERTS: `${folder}/cert.pem` });
  expect([trusted.code, trusted.stderr]).toEqual([0, '']);
});
