import { newToken } from '@sluice/control-plane/cluster';
import { EXIT } from './exit-codes.js';
import type { Output } from './health.js';
import type { NewTokenFlags } from './keys-command-line.js';

/**
 * Makes a token of a node or of the admin API, and prints it with the entry of the file that knows it.
 *
 * @returns the exit code
 */
export function createToken(flags: NewTokenFlags, out: Output, err: Output): number {
  const { node, admin, role, region, tenants, output } = flags;
  const wrong = wrongFlag(flags);
  if (wrong !== undefined) {
    err.write(`sluice: ${wrong}\n`);
    return EXIT.usage;
  }
  const { token, sha256 } = newToken(node === undefined ? 'admin' : 'node');
  const names = tenants === undefined ? {} : { tenants: namesIn(tenants) };
  const entry =
    node === undefined
      ? adminEntry({ name: admin as string, sha256, role, ...names })
      : nodeEntry({ node, sha256, ...(region !== undefined && { region }), ...names });
  if (output === 'json') out.write(`${JSON.stringify({ token, entry }, null, 2)}\n`);
  else {
    const file = node === undefined ? '--admin-tokens-file' : '--node-tokens-file';
    out.write(
      `The token, which is shown this once and stored nowhere:\n\n${token}\n\n` +
        `What knows it, for ${file} of sluice control-plane:\n\n${entry}`,
    );
  }
  return EXIT.ok;
}

function wrongFlag({ node, admin, role, region, tenants }: NewTokenFlags): string | undefined {
  if ((node === undefined) === (admin === undefined))
    return 'give either --node or --admin: whom the token is for';
  const name = node ?? admin ?? '';
  if (!/^[A-Za-z0-9*][A-Za-z0-9*_.@-]{0,126}$/.test(name))
    return `${node === undefined ? '--admin' : '--node'} needs a name of letters, digits, '_', '-', '.' and '@'`;
  if (admin !== undefined && region !== undefined) return '--region is for nodes';
  if (node === undefined && role === 'admin' && tenants !== undefined)
    return 'an admin has all tenants: give --role operator, or no --tenants';
  if (tenants !== undefined && namesIn(tenants).length === 0) return '--tenants needs a name';
  return undefined;
}

function namesIn(lists: readonly string[]): string[] {
  return lists.flatMap((list) => list.split(/[\s,]+/)).filter((name) => name !== '');
}

interface NodeEntry {
  /** `*` stands for any characters. */
  readonly node: string;
  readonly sha256: string;
  readonly region?: string;
  readonly tenants?: readonly string[];
}

/** An entry of the file of node tokens. */
export function nodeEntry({ node, sha256, region, tenants }: NodeEntry): string {
  return entry({ node, token_sha256: sha256, region, tenants });
}

interface AdminEntry {
  readonly name: string;
  readonly sha256: string;
  readonly role: string;
  readonly tenants?: readonly string[];
}

/** An entry of the file of tokens of the admin API. */
export function adminEntry({ name, sha256, role, tenants }: AdminEntry): string {
  return entry({ name, token_sha256: sha256, role, tenants });
}

/** As YAML, in which texts in JSON's quotes are safe whatever is in them. */
function entry(fields: Readonly<Record<string, string | readonly string[] | undefined>>): string {
  const lines = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value], index) => `${index === 0 ? '-' : ' '} ${name}: ${JSON.stringify(value)}\n`);
  return lines.join('');
}
