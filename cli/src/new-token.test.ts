import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readAdminAccess, readNodeGrants } from '@sluice/control-plane/cluster';
import { describe, expect, it } from 'vitest';
import { EXIT } from './exit-codes.js';
import type { NewTokenFlags } from './keys-command-line.js';
import { createToken } from './new-token.js';

function create(flags: Partial<NewTokenFlags>) {
  let [out, err] = ['', ''];
  const exitCode = createToken(
    { role: 'viewer', output: 'yaml', ...flags },
    { write: (text) => (out += text) },
    { write: (text) => (err += text) },
  );
  return { exitCode, out, err };
}

/** What the control plane makes of an entry that was printed. */
function read<T>(entry: string, reader: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-token-'));
  try {
    const file = join(folder, 'tokens.yaml');
    writeFileSync(file, entry);
    return reader(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const digestIn = (out: string) =>
  createHash('sha256')
    .update(/^sluice_\w+?_[\w-]{43}$/m.exec(out)?.[0] ?? '')
    .digest('hex');
const entryIn = (out: string) => out.slice(out.indexOf('\n- ') + 1);

describe('sluice keys create-token', () => {
  it('makes a token of nodes, and the entry that lets them in', () => {
    const { exitCode, out } = create({ node: 'eu-*', region: 'eu', tenants: ['a, b', 'c'] });
    expect(exitCode).toBe(EXIT.ok);
    expect(read(entryIn(out), readNodeGrants)).toEqual([
      { node: 'eu-*', tokenSha256: digestIn(out), region: 'eu', tenants: ['a', 'b', 'c'] },
    ]);
  });

  it('makes a token of the admin API, and the entry that knows it', () => {
    const { out } = create({ admin: 'ci', role: 'operator', tenants: ['acme'] });
    expect(read(entryIn(out), readAdminAccess)).toEqual({
      tokens: [{ name: 'ci', sha256: digestIn(out), role: 'operator', tenants: ['acme'] }],
      certificates: [],
    });
  });

  it('prints JSON for scripts', () => {
    const { token, entry } = JSON.parse(create({ node: 'n1', output: 'json' }).out);
    expect(read(entry, readNodeGrants)).toMatchObject([
      { node: 'n1', tokenSha256: createHash('sha256').update(token).digest('hex') },
    ]);
  });

  it.each<[Partial<NewTokenFlags>, string]>([
    [{}, 'give either --node or --admin'],
    [{ node: 'a', admin: 'b' }, 'give either --node or --admin'],
    [{ node: 'a b' }, '--node needs a name'],
    [{ admin: '' }, '--admin needs a name'],
    [{ admin: 'a', region: 'eu' }, '--region is for nodes'],
    [{ admin: 'a', role: 'admin', tenants: ['b'] }, 'an admin has all tenants'],
    [{ node: 'a', tenants: [','] }, '--tenants needs a name'],
  ])('%j is refused', (flags, reason) => {
    const { exitCode, out, err } = create(flags);
    expect([exitCode, out]).toEqual([EXIT.usage, '']);
    expect(err).toContain(reason);
  });
});
