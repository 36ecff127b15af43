import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FixtureEra, FixtureTransport } from '../fixture/start.js';

/** The servers that the stories put behind a gateway: as entries of a configuration, or as processes. */

const modulePath = (name: string) =>
  fileURLToPath(
    new URL(`../../../node_modules/@modelcontextprotocol/${name}/dist/index.js`, import.meta.url),
  );
const ownPath = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const EVERYTHING = modulePath('server-everything');
export const PLAIN = ownPath('./plain-server.mjs');
const DEMO = ownPath('../../examples/demo-server.mjs');
const FIXTURE = ownPath('../fixture/server.mjs');

/** One entry of `upstreams`, as a user writes it. */
export type UpstreamEntry = { name: string } & Record<string, unknown>;

interface StdioSettings {
  sharing?: 'shared' | 'per_session' | 'cluster';
  env?: Record<string, string>;
  max_processes?: number;
}

function node(name: string, args: readonly string[], settings: StdioSettings = {}): UpstreamEntry {
  return { name, stdio: { command: process.execPath, args, ...settings } };
}

export const everything = (settings: StdioSettings = { sharing: 'per_session' }) =>
  node('everything', [EVERYTHING], settings);

/** @param folder the one that it may read and write */
export const filesystem = (folder: string, settings?: StdioSettings) =>
  node('files', [modulePath('server-filesystem'), folder], settings);

/** @param file where it keeps what it is told */
export const memory = (file: string) =>
  node('memory', [modulePath('server-memory')], { env: { MEMORY_FILE_PATH: file } });

export const thinking = () => node('thinking', [modulePath('server-sequential-thinking')]);

/** @param args see plain-server.mjs */
export const plain = (name: string, args: readonly string[] = [], settings?: StdioSettings) =>
  node(name, [PLAIN, '--name', name, ...args], settings);

export const fixtureOverStdio = (name: string, era: FixtureEra, settings?: StdioSettings) =>
  node(name, [FIXTURE, '--transport', 'stdio', '--era', era], settings);

/** A server over HTTP, in a process of its own. */
export interface HttpServer {
  url: string;
  port: number;
  pid: number;
  /** Ends it without a goodbye. */
  kill(): Promise<void>;
}

/** @param port the system's choice without it */
export const startPlain = (args: readonly string[] = [], port = 0) =>
  startHttpServer([PLAIN, ...args, '--http', String(port)]);

export const startDemo = () => startHttpServer([DEMO, '--port', '0']);

export const startFixtureOn = (port: number, era: FixtureEra) =>
  startHttpServer([FIXTURE, '--port', String(port), '--era', era]);

/** The fixture over another transport than HTTP over TCP; `place` is where it was before, to be there again. */
export function startFixtureOver(
  transport: Exclude<FixtureTransport, 'stdio'>,
  era: FixtureEra,
  place: { port?: number; socket?: string } = {},
): Promise<HttpServer> {
  const where = place.socket === undefined ? ['--port', String(place.port ?? 0)] : ['--socket', place.socket];
  return startHttpServer([FIXTURE, '--transport', transport, '--era', era, ...where]);
}

/** server-everything over streamable HTTP: it takes its port from the environment and says it on stderr. */
export async function startEverything(wantedPort = 0): Promise<HttpServer> {
  const port = wantedPort || (await freePort());
  return startHttpServer([EVERYTHING, 'streamableHttp'], { PORT: String(port) }, (line) =>
    line.includes(`listening on port ${port}`) ? `http://127.0.0.1:${port}/mcp` : undefined,
  );
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

async function startHttpServer(
  args: readonly string[],
  env: Record<string, string> = {},
  urlOf: (line: string) => string | undefined = listeningUrl,
): Promise<HttpServer> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const ended = once(child, 'close').finally(() => running.delete(child));
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.once('close', () => reject(new Error(`${args.join(' ')} ended before it listened:\n${output}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`;
        const found = urlOf(line);
        if (found !== undefined) resolve(found);
      });
    }
  });
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid as number,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function listeningUrl(line: string): string | undefined {
  return line.startsWith('{"listening"') ? (JSON.parse(line) as { listening: string }).listening : undefined;
}

/** Nobody listens on this port: it is below those that systems give away, and takes privileges to use. */
export const DEAD_URL = 'http://127.0.0.1:1/mcp';

/** Systems give away ports from 32768 on to whoever asks for any, so none of these is given to somebody else. */
const OWN_PORTS = { first: 20_000, count: 12_000 };

/** A port that nobody listens on, for a process that will. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = OWN_PORTS.first + randomInt(OWN_PORTS.count);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
