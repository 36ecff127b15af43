/** Starts the program of a process that runs a plugin, with what it may do and use. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Isolation } from '@sluice/sdk';
import type { LoadOrder } from '@sluice/sdk/isolation';
import { ProcessGroup } from '../../upstream/transport/process-group.js';
import type { IsolationLimits } from './limits.js';
import { ownFolders } from './own-folders.js';

const SHELL = '/bin/sh';
const FOLDER = new URL('../../../dist/chain/isolation/', import.meta.url);
const [PROCESS_SIDE, POOL_SIDE] = ['process-side.js', 'pool-side.js'].map((name) =>
  fileURLToPath(new URL(name, FOLDER)),
) as [string, string];
const KIB = 1024;
/**
 * Memory that the kernel gives out at most, on Linux, for each thread that runs the plugin: what V8 reserves without
 * using it counts too, and is 512 MiB alone with some versions.
 */
const MAX_RESERVED_BYTES = 1024 * 1024 * KIB;

/** Elsewhere than on the thread of the request. */
export type Place = Exclude<Isolation, 'inline'>;

export interface ProgramOptions {
  readonly place: Place;
  readonly order: LoadOrder;
  /** Files and folders of the plugin that it may read; what is in a pool may read all. */
  readonly readable: readonly string[];
  readonly limits: IsolationLimits;
}

/** Its descriptor 3 leads to the gateway. */
export function spawnProgram({ place, order, readable, limits }: ProgramOptions): ChildProcess {
  const isPool = place === 'pool';
  const command = [process.execPath, '--no-warnings', ...(isPool ? inPool(limits) : alone(readable, limits))];
  const reservedBytes = MAX_RESERVED_BYTES * threadCountOf(place, limits);
  // Resident memory is looked at from time to time; what is taken between two looks is for the kernel to refuse.
  const limited = process.platform === 'linux' && existsSync(SHELL);
  const [file, ...rest] = limited
    ? [SHELL, '-c', 'ulimit -d "$0" 2>/dev/null; exec "$@"', String(reservedBytes / KIB), ...command]
    : command;
  return spawn(file as string, rest, {
    env: {},
    cwd: isPool || order.builtIn !== undefined ? undefined : readable[0],
    detached: ProcessGroup.supported,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
}

/** How much memory all of a process may hold. */
export function maxResidentBytes(place: Place, limits: IsolationLimits): number {
  return limits.maxResidentBytes * threadCountOf(place, limits);
}

function threadCountOf(place: Place, { maxThreadCount }: IsolationLimits): number {
  return place === 'pool' ? maxThreadCount : 1;
}

/** Its threads have their own limits of memory. */
function inPool(limits: IsolationLimits): readonly string[] {
  return [POOL_SIDE, JSON.stringify(limits)];
}

function alone(
  readable: readonly string[],
  { maxMessageBytes, maxBufferBytes, maxHeapBytes }: IsolationLimits,
): readonly string[] {
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  // Node.js 20 aborts when it is told one of them twice.
  const mayRead = [...new Set([...ownFolders(), ...readable])].map((path) => `--allow-fs-read=${path}`);
  const heap = `--max-old-space-size=${Math.ceil(maxHeapBytes / KIB / KIB)}`;
  return [
    permission,
    '--no-addons',
    heap,
    ...mayRead,
    PROCESS_SIDE,
    String(maxMessageBytes),
    String(maxBufferBytes),
  ];
}
