import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newToken } from '@sluice/control-plane/cluster';
import type { Output } from './health.js';
import { adminEntry, nodeEntry } from './new-token.js';

const NODE_TOKENS_FILE = 'node-tokens.yaml';
const ADMIN_TOKENS_FILE = 'admin-tokens.yaml';
const FIRST_NODE_TOKEN_FILE = 'first-node-token';
const FIRST_ADMIN_TOKEN_FILE = 'first-admin-token';
const OWNER_ONLY = { file: 0o600, folder: 0o700 } as const;

/** Tokens that were made now; nobody knows them but whoever is shown them. */
export interface MadeTokens {
  readonly folder: string;
  readonly node: string | undefined;
  readonly admin: string | undefined;
  /** The files that hold their digests. */
  readonly files: readonly string[];
}

/** What has to be kept cannot be written there. */
export class StateFolderError extends Error {
  override readonly name = 'StateFolderError';
}

interface Wanted {
  readonly nodeTokensFile: string | undefined;
  readonly adminTokensFile: string | undefined;
  /** Nodes prove in another way who they are, so that no token has to be made. */
  readonly hasOtherNodes: boolean;
  readonly hasOtherCallers: boolean;
}

/** The files of tokens, made in a folder with one token each where none was named and there is none. */
export function firstTokens(
  folder: string,
  { nodeTokensFile, adminTokensFile, hasOtherNodes, hasOtherCallers }: Wanted,
): {
  readonly made: MadeTokens | undefined;
  readonly nodeTokensFile: string | undefined;
  readonly adminTokensFile: string | undefined;
} {
  const files: string[] = [];
  const written = (own: string, text: string) => {
    files.push(own);
    writeFileSync(own, `# Digests of tokens; sluice keys create-token makes more entries.\n${text}`, {
      mode: OWNER_ONLY.file,
      flag: 'wx',
    });
  };
  let nodes: TokenFile;
  let admins: TokenFile;
  try {
    mkdirSync(folder, { recursive: true, mode: OWNER_ONLY.folder });
    nodes = fileOf(nodeTokensFile, hasOtherNodes, join(folder, NODE_TOKENS_FILE), (own) => {
      const { token, sha256 } = newToken('node');
      written(own, nodeEntry({ node: '*', sha256 }));
      return token;
    });
    admins = fileOf(adminTokensFile, hasOtherCallers, join(folder, ADMIN_TOKENS_FILE), (own) => {
      const { token, sha256 } = newToken('admin');
      written(own, adminEntry({ name: 'first', sha256, role: 'admin' }));
      return token;
    });
  } catch (error) {
    removed(files);
    const reason = (error as Error).message;
    throw new StateFolderError(
      `the state folder ${folder} cannot be used: ${reason}; choose another with --state-dir`,
    );
  }
  return {
    made: files.length > 0 ? { folder, node: nodes.token, admin: admins.token, files } : undefined,
    nodeTokensFile: nodes.file,
    adminTokensFile: admins.file,
  };
}

interface TokenFile {
  readonly file: string | undefined;
  /** Undefined for a file that was there. */
  readonly token: string | undefined;
}

/** @param make writes the file, and returns the token that it holds the digest of */
function fileOf(
  named: string | undefined,
  isNeedless: boolean,
  own: string,
  make: (own: string) => string,
): TokenFile {
  if (named !== undefined) return { file: named, token: undefined };
  if (existsSync(own)) return { file: own, token: undefined };
  if (isNeedless) return { file: undefined, token: undefined };
  return { file: own, token: make(own) };
}

/** Has the next start make others: the digest of a token that nobody was shown would keep everybody out. */
export function forgetFirstTokens({ folder, files }: MadeTokens): void {
  removed([...files, join(folder, FIRST_NODE_TOKEN_FILE), join(folder, FIRST_ADMIN_TOKEN_FILE)]);
}

function removed(files: readonly string[]): void {
  for (const file of files) rmSync(file, { force: true });
}

/**
 * Shows the tokens, with the commands that they are for; where nobody sits in front of it, their files. What is written
 * to a pipe ends in some log, which others read.
 *
 * @throws StateFolderError when those files cannot be written
 */
export function showFirstTokens(
  { folder, node, admin }: MadeTokens,
  { nodes, admin: adminAddress }: { readonly nodes: string; readonly admin: string },
  out: Output,
): void {
  const shown = (token: string, file: string) =>
    out.isTTY ? token : `"$(cat ${quoted(ownFile(join(folder, file), token))})"`;
  const lines = [
    out.isTTY
      ? `A new control plane. What is shown here is shown this once; ${folder} keeps digests.`
      : 'A new control plane. Its first tokens are in files for their owner alone: keep them elsewhere, and remove the files.',
    '',
  ];
  if (node !== undefined)
    lines.push(
      'Start a node on this machine:',
      '',
      `  SLUICE_NODE_TOKEN=${shown(node, FIRST_NODE_TOKEN_FILE)} sluice data-plane --control-plane ${nodes} --state-dir sluice-node`,
      '',
    );
  if (admin !== undefined)
    lines.push(
      'Configure the cluster, by a file such as sluice serve takes:',
      '',
      `  export SLUICE_ADMIN_TOKEN=${shown(admin, FIRST_ADMIN_TOKEN_FILE)} SLUICE_ADMIN_SERVER=${adminAddress}`,
      '  sluice config apply -f sluice.yaml --wait all',
      '',
    );
  out.write(`${lines.join('\n')}\n`);
}

function ownFile(path: string, token: string): string {
  try {
    // One of an earlier start would keep its mode.
    rmSync(path, { force: true });
    writeFileSync(path, `${token}\n`, { mode: OWNER_ONLY.file, flag: 'wx' });
  } catch (error) {
    throw new StateFolderError(`the first token cannot be written: ${(error as Error).message}`);
  }
  return path;
}

/** As a shell takes it. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
