import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessUsage } from '../process-usage.js';
import { pause, type RunningProcess } from '../running-process.js';
import { HEAP_FOLDER_VARIABLE, type HeapFigures, heapFileName } from './heap-files.js';
import type { Footprint } from './result.js';

/** What the last request left to do is done by then. */
const SETTLE_MIN_MS = 5_000;
const SETTLE_MAX_MS = 40_000;
const SETTLE_POLL_MS = 500;
/** Settled: so many readings one after the other, whose largest is not further from their smallest than this. */
const SETTLED_READING_COUNT = 6;
const SETTLED_BYTES = 512 * 1024;
/** A gateway whose descriptors do not change for so long has closed what it had to close. */
const QUIET_MS = 1_000;
/** A collection of some hundred MB takes a second. */
const COLLECTED_DEADLINE_MS = 20_000;
const COLLECTED_POLL_MS = 50;

/** What every reading takes at least, for the time that the progress line promises. */
export const FOOTPRINT_SECONDS = SETTLE_MIN_MS / 1000;

/** Variables with which a gateway must be started to be measured. */
export function footprintEnvironment(folder: string): NodeJS.ProcessEnv {
  const preload = new URL('../heap-preload.js', import.meta.url).href;
  const options = [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(' ');
  return { NODE_OPTIONS: options, [HEAP_FOLDER_VARIABLE]: folder };
}

/** Reads resident memory as it is, garbage included, and collects garbage afterwards to know what is held. */
export async function footprint(gateway: RunningProcess, folder: string): Promise<Footprint> {
  const rssBytes = await settledRssBytes(gateway);
  return { rssBytes, heldBytes: await collect(gateway, folder), descriptors: descriptorCount(gateway) };
}

/** Collects garbage before it reads resident memory. */
export async function collectedFootprint(gateway: RunningProcess, folder: string): Promise<Footprint> {
  await quiet(gateway);
  const heldBytes = await collect(gateway, folder);
  return { heldBytes, rssBytes: await settledRssBytes(gateway), descriptors: descriptorCount(gateway) };
}

/** Waits until sockets that are being opened or closed are. */
async function quiet(gateway: RunningProcess): Promise<void> {
  for (let before = -1, now = descriptorCount(gateway); now !== before; now = descriptorCount(gateway)) {
    before = now;
    await pause(QUIET_MS);
  }
}

/** Waits until resident memory does not change any more, or changes for ever. */
async function settledRssBytes(gateway: RunningProcess): Promise<number> {
  const began = performance.now();
  const readings: number[] = [];
  for (;;) {
    const { rssBytes } = dataPlaneOf(gateway);
    readings.push(rssBytes);
    const last = readings.slice(-SETTLED_READING_COUNT);
    const range = Math.max(...last) - Math.min(...last);
    const waitedMs = performance.now() - began;
    if (waitedMs > SETTLE_MAX_MS || (waitedMs > SETTLE_MIN_MS && range <= SETTLED_BYTES)) return rssBytes;
    await pause(SETTLE_POLL_MS);
  }
}

async function collect(gateway: RunningProcess, folder: string): Promise<number> {
  const { pid } = dataPlaneOf(gateway);
  const file = join(folder, heapFileName(pid));
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  const deadline = performance.now() + COLLECTED_DEADLINE_MS;
  while (!existsSync(file)) {
    if (performance.now() > deadline) throw new Error(`${gateway.name} did not tell what its heap holds`);
    await pause(COLLECTED_POLL_MS);
  }
  return (JSON.parse(readFileSync(file, 'utf8')) as HeapFigures).heldBytes;
}

function descriptorCount(gateway: RunningProcess): number {
  return readdirSync(`/proc/${dataPlaneOf(gateway).pid}/fd`).length;
}

/** The parent serves nothing; with an upstream over HTTP the data plane is its only child. */
function dataPlaneOf(gateway: RunningProcess): ProcessUsage {
  const [, dataPlane] = gateway.usage();
  if (dataPlane === undefined) throw new Error(`${gateway.name} has no data plane: ${gateway.lastOutput}`);
  return dataPlane;
}
