import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newToken } from '@sluice/control-plane/cluster';
import type { Output } from './health.js';
import { adminEntry, nodeEntry } from './new-token.js';

const NODE_TOKENS_FILE = 'node-tokens.yaml';
const ADMIN_TOKENS_FILE = 'admin-tokens.yaml';
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
export function forgetFirstTokens({ files }: MadeTokens): void {
  removed(files);
}

function removed(files: readonly string[]): void {
  for (const file of files) rmSync(file, { force: true });
}

/** Shows the tokens, with the commands that they are for. */
export function showFirstTokens(
  { folder, node, admin }: MadeTokens,
  { nodes, admin: adminAddress }: { readonly nodes: string; readonly admin: string },
  out: Output,
): void {
  const lines = [`A new control plane. What is shown here is shown this once; ${folder} keeps digests.`, ''];
  if (node !== undefined)
    lines.push(
      'Start a node on this machine:',
      '',
      `  SLUICE_NODE_TOKEN=${node} sluice data-plane --control-plane ${nodes} --state-dir sluice-node`,
      '',
    );
  if (admin !== undefined)
    lines.push(
      'Configure the cluster, by a file such as sluice serve takes:',
      '',
      `  export SLUICE_ADMIN_TOKEN=${admin} SLUICE_ADMIN_SERVER=${adminAddress}`,
      '  sluice config apply -f sluice.yaml --wait all',
      '',
    );
  out.write(`${lines.join('\n')}\n`);
}
