/**
 * Loaded into every thread of a gateway that is profiled (NODE_OPTIONS=--import). It starts and stops V8's CPU
 * profiler when the benchmark says so, so that a profile holds the load and neither start nor idle time.
 * Node's own --cpu-prof cannot be given in NODE_OPTIONS by all versions, and covers the whole life of a process.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { COMMAND_FILE, PROFILE_FOLDER_VARIABLE, profileFileName, threadFileName } from './profiler-files.js';

const POLL_MS = 50;
const SAMPLING_INTERVAL_MICROS = 500;

function watch(folder: string): void {
  let handled = '';
  let session: Session | undefined;
  const poll = () => {
    const command = readIfThere(join(folder, COMMAND_FILE));
    if (command === handled) return;
    handled = command;
    const [action, label = '', ...pids] = command.split(' ');
    if (!pids.includes(String(process.pid))) return;
    if (action === 'start' && !session) session = start();
    if (action === 'stop' && session) {
      stop(session, join(folder, profileFileName(label, process.pid, threadId)));
      session = undefined;
    }
  };
  setInterval(poll, POLL_MS).unref();
  writeFileSync(join(folder, threadFileName(process.pid, threadId)), '');
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function start(): Session {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL_MICROS });
  session.post('Profiler.start');
  return session;
}

function stop(session: Session, file: string): void {
  session.post('Profiler.stop', (error, { profile }) => {
    writeFileSync(file, JSON.stringify(error ? { nodes: [] } : profile));
    session.disconnect();
  });
}

const folder = process.env[PROFILE_FOLDER_VARIABLE];
if (folder) watch(folder);
