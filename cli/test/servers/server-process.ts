/** A server for tests that comes with the system: on ports and in a folder of its own, ended by its pid. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort } from '../stories/upstreams.js';

const READY_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 20;
/** Another process may take a port between our look at it and the server's. */
const START_ATTEMPTS = 3;
/** What a server wrote that is shown when it does not start. */
const MAX_SHOWN_OUTPUT_CHARACTERS = 4_000;

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now, or ran last. */
  readonly pid: number;
  /** What it keeps lies below; gone after `close`. */
  readonly folder: string;
  /** Ends it without a goodbye. What it keeps stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder, and waits until it answers. */
  restart(): Promise<void>;
  /** The process stands still, and its connections stay open. */
  freeze(): void;
  thaw(): void;
  /** Ends it, and deletes its folder. */
  close(): Promise<void>;
}

/** How one kind of server is run. */
export interface ServerKind {
  /** The name of the program. */
  readonly program: string;
  /** The ports it needs beside the one that clients use. */
  readonly morePortsCount?: number;
  /** Makes what has to lie in the folder, and answers the arguments. Called once for each choice of ports. */
  prepare(folder: string, ports: readonly number[]): Promise<readonly string[]> | readonly string[];
  url(port: number): string;
  /** Default: when it takes connections. */
  isReady?(port: number): Promise<boolean>;
}

/** Why tests that need a program are skipped; undefined when they are not. */
export function missing(program: string, packageName: string): string | undefined {
  return pathOf(program) === undefined
    ? `${program} is not installed: apt-get install ${packageName}`
    : undefined;
}

/** @param port for clients; a free one by default */
export async function startServer(kind: ServerKind, port?: number): Promise<TestServer> {
  for (let attempt = 1; ; attempt++) {
    const folder = await mkdtemp(join(tmpdir(), `sluice-${kind.program}-`));
    const ports = [port ?? (await freePort())];
    while (ports.length <= (kind.morePortsCount ?? 0)) ports.push(await freePort());
    const server = new ServerProcess(kind, folder, ports, await kind.prepare(folder, ports));
    try {
      await server.restart();
      return server;
    } catch (error) {
      await server.close();
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

class ServerProcess implements TestServer {
  private child: ChildProcess | undefined;

  constructor(
    private readonly kind: ServerKind,
    readonly folder: string,
    private readonly ports: readonly number[],
    private readonly args: readonly string[],
  ) {}

  get port(): number {
    return this.ports[0] as number;
  }

  get url(): string {
    return this.kind.url(this.port);
  }

  get pid(): number {
    return this.child?.pid as number;
  }

  async kill(): Promise<void> {
    const child = this.child;
    if (child === undefined || hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async restart(): Promise<void> {
    await this.kill();
    const child = spawn(pathOf(this.kind.program) as string, this.args, {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk).slice(-MAX_SHOWN_OUTPUT_CHARACTERS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (!(await (this.kind.isReady ?? isListening)(this.port))) {
      if (hasEnded(child) || Date.now() > deadline)
        throw new Error(`${this.kind.program} does not start: ${output}`);
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
    // Somebody else may listen there.
    if (hasEnded(child)) throw new Error(`${this.kind.program} ended at once: ${output}`);
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

function pathOf(program: string): string | undefined {
  // Debian puts some servers where only root's PATH looks.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/usr/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
