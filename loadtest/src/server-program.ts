/** Servers that somebody else wrote: where they are installed, and when they are there. */
import { accessSync, constants } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { pause, type RunningProcess } from './running-process.js';

/** Distributions put servers where only root has a PATH. */
const EXTRA_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];
const READY_TIMEOUT_MS = 5_000;
const READY_POLL_MS = 20;

/** The path of an executable; absent when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...EXTRA_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** One that nobody listens at now; somebody may by the time that it is used. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @throws Error when it ends, or does not listen in time; with its last output. */
export async function untilListening(running: RunningProcess, port: number): Promise<void> {
  let endedHow: string | undefined;
  void running.ended.then((how) => {
    endedHow = how;
  });
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (endedHow === undefined && Date.now() < deadline) {
    if (await canConnect(port)) return;
    await pause(READY_POLL_MS);
  }
  throw new Error(`${running.name} ${endedHow ?? 'does not listen'}: ${running.lastOutput}`);
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
