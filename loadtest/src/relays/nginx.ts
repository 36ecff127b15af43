import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StartedProcesses } from '../running-process.js';
import { findProgram, freePort, untilListening } from '../server-program.js';
import type { Relay } from './relay.js';

/** A free port may be taken by somebody else before nginx opens it. */
const MAX_ATTEMPTS = 3;

/** Path of the nginx program; absent when it is not installed. */
export function findNginx(): string | undefined {
  return findProgram('nginx');
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
