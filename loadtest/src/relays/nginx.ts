import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { pause, type RunningProcess, type StartedProcesses } from '../running-process.js';
import type { Relay } from './relay.js';

/** Distributions put nginx where only root has a PATH. */
const EXTRA_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];
/** A free port may be taken by somebody else before nginx opens it. */
const MAX_ATTEMPTS = 3;
const READY_TIMEOUT_MS = 5_000;
const READY_POLL_MS = 20;

/** Path of the nginx program; absent when it is not installed. */
export function findNginx(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...EXTRA_FOLDERS];
  return folders.map((folder) => join(folder, 'nginx')).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts nginx with one worker as a reverse proxy with keep-alive to the upstream.
 * @throws Error when it does not start, with what it wrote.
 */
export async function startNginx(
  processes: StartedProcesses,
  program: string,
  upstream: URL,
  folder: string,
): Promise<Relay> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const file = join(folder, 'nginx.conf');
    mkdirSync(join(folder, 'temp'), { recursive: true });
    writeFileSync(file, configuration(port, upstream, folder));
    const args = ['-p', folder, '-c', file];
    const running = processes.start({ name: 'nginx', command: program, args });
    try {
      await untilListening(running, port);
      return { process: running, origin: `http://127.0.0.1:${port}` };
    } catch (error) {
      if (attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/**
 * As fast as nginx relays without being told what to skip: one worker, no log, connections kept on both sides
 * (by default it closes them after 1,000 requests), and the default buffering.
 */
function configuration(port: number, upstream: URL, folder: string): string {
  const temp = (name: string) => `${name}_temp_path ${join(folder, 'temp', name)};`;
  return `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${join(folder, 'nginx.pid')};
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(temp).join('\n  ')}
  upstream mcp {
    server ${upstream.host};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000000;
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(running: RunningProcess, port: number): Promise<void> {
  let endedHow: string | undefined;
  void running.ended.then((how) => {
    endedHow = how;
  });
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (endedHow === undefined && Date.now() < deadline) {
    if (await canConnect(port)) return;
    await pause(READY_POLL_MS);
  }
  throw new Error(`nginx ${endedHow ?? 'does not listen'}: ${running.lastOutput}`);
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
