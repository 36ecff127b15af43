import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { newToken, readAdminAccess, readNodeGrants } from './token-files.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-tokens-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = (text: string): string => {
  const path = join(folder, 'tokens.yaml');
  writeFileSync(path, text);
  return path;
};
const DIGEST = 'AB'.repeat(32);

describe('tokens', () => {
  it('say what they are for, and are never the same', () => {
    const { token, sha256 } = newToken('node');
    expect(token).toMatch(/^sluice_node_[\w-]{43}$/);
    expect(sha256).toBe(createHash('sha256').update(token).digest('hex'));
    expect(newToken('admin').token).toMatch(/^sluice_admin_/);
    expect(newToken('node').token).not.toBe(token);
  });

  it('of nodes have a name pattern, a region and tenants', () => {
    const path = file(
      `- { node: "eu-*", token_sha256: "${DIGEST}", region: eu, tenants: [a, b] }\n- node: by-certificate\n`,
    );
    expect(readNodeGrants(path)).toEqual([
      { node: 'eu-*', tokenSha256: DIGEST.toLowerCase(), region: 'eu', tenants: ['a', 'b'] },
      { node: 'by-certificate', tokenSha256: '', region: '', tenants: [] },
    ]);
  });

  it('of the admin API have a role', () => {
    const path = file(
      `- { name: ci, token_sha256: "${DIGEST}", role: operator, tenants: [a] }
- { certificate: ops.example.com, role: admin }
- { certificate: "URI:spiffe://example.com/ops", role: viewer }`,
    );
    expect(readAdminAccess(path)).toEqual({
      tokens: [{ name: 'ci', sha256: DIGEST.toLowerCase(), role: 'operator', tenants: ['a'] }],
      certificates: [
        { commonName: 'ops.example.com', role: 'admin' },
        { alternativeName: 'URI:spiffe://example.com/ops', role: 'viewer' },
      ],
    });
  });

  it.each([
    ['{}', 'has to be a list of entries'],
    ['[]', 'nobody could come in: it has no entries'],
    ['- 1', 'entry 1: has to have fields: name, token_sha256, certificate, role, tenants'],
    ['- "a: b', 'it is no YAML: line 1'],
    [
      '- { nam: a }',
      'entry 1: there is no field nam; there are name, token_sha256, certificate, role, tenants',
    ],
    [`- { role: admin, token_sha256: "${DIGEST}" }`, 'entry 1: name is missing: it says who holds the token'],
    ['- { name: a, role: boss }', 'entry 1: role has to be one of viewer, operator, admin'],
    [
      '- { name: a, role: admin, tenants: [b] }',
      'an admin has all tenants: make it an operator, or leave out tenants',
    ],
    ['- { name: a, role: viewer, tenants: [] }', 'tenants has to be a list of names, or left out for all'],
    ['- { name: a, role: viewer }', 'give either token_sha256 or certificate'],
    [
      '- { name: a, role: viewer, token_sha256: sluice_admin_secret }',
      'token_sha256 has to be 64 hexadecimal digits: the SHA-256 of the token, not the token',
    ],
    ['- { name: 7, role: viewer }', 'name has to be a text'],
    ['- { name: a, role: viewer, token_sha256: abc, certificate: b }', 'token_sha256 has to be 64'],
  ])('%s is refused', (text, reason) => {
    const path = file(text);
    expect(() => readAdminAccess(path)).toThrow(reason);
    expect(() => readAdminAccess(path)).toThrow(path);
    expect(() => readAdminAccess(path)).not.toThrow('sluice_admin_secret');
  });

  it('are refused when the file is not there', () => {
    expect(() => readNodeGrants(join(folder, 'nowhere'))).toThrow('it cannot be read');
  });
});
