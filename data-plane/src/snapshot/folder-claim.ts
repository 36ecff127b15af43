/**
 * The state folder belongs to one node: two would write over each other's configuration, and take each other's ends for
 * their own. A socket in it says that somebody lives there, which it does no longer when its process has ended, in
 * whatever way and in whatever container.
 */
import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join, relative } from 'node:path';
import type { Logger } from 'pino';

const FILE = 'node.sock';
/** Longest path of a socket on the systems that are supported (`sun_path`, and its end). */
const MAX_PATH_BYTES = 103;
/** For whoever lives there to say his name. */
const ANSWER_WITHIN_MS = 1_000;
const MAX_NAME_LENGTH = 256;

/** Somebody else lives in the folder. */
export class FolderTakenError extends Error {
  override readonly name = 'FolderTakenError';
  readonly code = 'FOLDER_TAKEN';
}

/**
 * Takes a folder until the process ends, or the claim is given up. A folder that cannot be written is nobody's.
 *
 * @param who what others are told who come later
 * @returns how to give it up
 * @throws FolderTakenError
 */
export async function claimFolder(
  folder: string,
  who: string,
  log: Pick<Logger, 'warn'>,
): Promise<() => Promise<void>> {
  const path = shortest(join(folder, FILE));
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return await listening(path, who);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE') return unclaimed(message);
  }
  const living = await inhabitant(path);
  if (living !== undefined)
    throw new FolderTakenError(
      `the state folder ${folder} is used by ${living}; give each node a folder of its own with --state-dir`,
    );
  try {
    // What a process left behind that ended without a goodbye.
    await rm(path, { force: true });
    return await listening(path, who);
  } catch (error) {
    return unclaimed((error as Error).message);
  }

  function unclaimed(reason: string): () => Promise<void> {
    log.warn({ folder, reason }, `whether another node uses the state folder is not known: ${reason}`);
    return async () => {};
  }
}

async function listening(path: string, who: string): Promise<() => Promise<void>> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw new Error(`${path} is too long for a socket`);
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(who);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.on('error', () => {});
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}

/** Who listens there; undefined when nobody does. */
function inhabitant(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let name = '';
    let isThere = false;
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy());
    socket.on('connect', () => {
      isThere = true;
    });
    socket.on('data', (text: string) => {
      name = (name + text).slice(0, MAX_NAME_LENGTH);
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(isThere ? name || 'another process' : undefined));
  });
}

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return Buffer.byteLength(fromHere) < Buffer.byteLength(path) ? fromHere : path;
}
