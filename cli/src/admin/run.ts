/** Runs one command of the admin API. Loaded only when there is one to run. */
import { readFile } from 'node:fs/promises';
import { type AdminClient, connectAdmin } from '@sluice/sdk/admin';
import type { AdminCommand, ServerFlags } from './commands.js';
import { closeConnection, connections } from './connections.js';
import { tellFailure } from './failures.js';
import { drain, events, nodes } from './nodes.js';
import { diff, exportBackup, get, history, wait } from './read.js';
import { rolloutStatus, rollouts, steer } from './rollout.js';
import { palettesOf, type Streams, type Surroundings, UsageError } from './surroundings.js';
import { apply, importBackup, remove, rollback } from './write.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** @returns the exit code */
export async function runAdminCommand(
  command: AdminCommand,
  streams: Streams,
  environment: Environment = process.env,
): Promise<number> {
  const palettes = palettesOf(command.flags, streams);
  let client: AdminClient | undefined;
  try {
    client = await connected(command.flags, environment);
    return await runOn(command, { ...streams, ...palettes, client, nowMs: Date.now });
  } catch (error) {
    return await tellFailure(error, streams, palettes.paintErr);
  } finally {
    client?.close();
  }
}

function runOn(command: AdminCommand, surroundings: Surroundings): Promise<number> {
  switch (command.name) {
    case 'get':
      return get(command, surroundings);
    case 'apply':
      return apply(command, surroundings);
    case 'delete':
      return remove(command, surroundings);
    case 'diff':
      return diff(command, surroundings);
    case 'history':
      return history(command, surroundings);
    case 'rollback':
      return rollback(command, surroundings);
    case 'wait':
      return wait(command, surroundings);
    case 'export':
      return exportBackup(command, surroundings);
    case 'import':
      return importBackup(command, surroundings);
    case 'rolloutStatus':
      return rolloutStatus(command, surroundings);
    case 'rollouts':
      return rollouts(command, surroundings);
    case 'promote':
    case 'abort':
      return steer(command, surroundings);
    case 'nodes':
      return nodes(command, surroundings);
    case 'drain':
      return drain(command, surroundings);
    case 'connections':
      return connections(command, surroundings);
    case 'closeConnection':
      return closeConnection(command, surroundings);
    case 'events':
      return events(command, surroundings);
  }
}

async function connected(flags: ServerFlags, environment: Environment): Promise<AdminClient> {
  const [ca, cert, key] = await Promise.all([pem(flags.ca), pem(flags.cert), pem(flags.key)]);
  if ((cert === undefined) !== (key === undefined)) throw new UsageError('--cert and --key belong together');
  if (flags.tokenFile !== undefined) await readable(flags.tokenFile);
  try {
    return connectAdmin({
      address: flags.server,
      timeoutMs: flags.timeout,
      ...(flags.tokenFile === undefined
        ? { token: environment.SLUICE_ADMIN_TOKEN }
        : { tokenFile: flags.tokenFile }),
      ...((ca ?? cert) && { tls: { ca, cert, key } }),
    });
  } catch (error) {
    // An address that is none, or a certificate.
    throw new UsageError((error as Error).message);
  }
}

async function pem(file: string | undefined): Promise<Buffer | undefined> {
  return file === undefined ? undefined : readable(file);
}

async function readable(file: string): Promise<Buffer> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`);
  });
}
