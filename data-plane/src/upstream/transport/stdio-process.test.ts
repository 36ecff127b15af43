import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterEach, describe, expect, it } from 'vitest';
import type { StdioCommand, StdioLimits, StdioProcess } from './stdio.js';
import { spawnStdio } from './stdio-process.js';

const LIMITS: StdioLimits = {
  maxLineBytes: 1024 * 1024,
  maxPendingWriteBytes: 4 * 1024 * 1024,
  terminateGraceMs: 5_000,
  maxStderrLineCount: 20,
};

/** A child together with everything that it said. */
class Recorder {
  readonly lines: string[] = [];
  readonly stderrLines: string[] = [];
  readonly exits: string[] = [];
  readonly process: StdioProcess;
  private readonly wakers = new Set<() => void>();

  constructor(
    command: Partial<StdioCommand>,
    limits: Partial<StdioLimits> = {},
    onLine: (line: Buffer) => void = () => {},
  ) {
    this.process = spawnStdio(
      { command: process.execPath, args: [], env: {}, ...command },
      { ...LIMITS, ...limits },
      {
        line: (line) => {
          this.lines.push(line.toString());
          this.wake();
          onLine(line);
        },
        stderr: (line) => {
          this.stderrLines.push(line);
          this.wake();
        },
        exit: (reason) => {
          this.exits.push(reason);
          this.wake();
        },
      },
    );
    started.add(this);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.wakers.add(resolve));
  }

  async exit(): Promise<string> {
    await this.until(() => this.exits.length > 0);
    return this.exits[0] ?? '';
  }

  private wake(): void {
    for (const waker of this.wakers) waker();
    this.wakers.clear();
  }
}

const started = new Set<Recorder>();

afterEach(async () => {
  await Promise.all([...started].map((each) => each.process.stop()));
  started.clear();
});

function script(code: string, limits?: Partial<StdioLimits>): Recorder {
  return new Recorder({ args: ['-e', code] }, limits);
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A process whose parent is gone may stay as a zombie when nobody reaps it, as in a container without an init. */
function runs(pid: number): boolean {
  if (!exists(pid)) return false;
  if (process.platform !== 'linux') return true;
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

const ECHO = 'process.stdin.pipe(process.stdout)';

describe('spawnStdio', () => {
  it('carries lines both ways, byte for byte', async () => {
    const child = script(ECHO);
    const message = Buffer.from('{"text":"grün — 語"}').toString('latin1');
    expect(child.process.write(message)).toBe(true);
    expect(child.process.write('{"second":2}')).toBe(true);
    await child.until(() => child.lines.length === 2);
    expect(child.lines).toEqual(['{"text":"grün — 語"}', '{"second":2}']);
  });

  it('keeps a message with raw line ends one message', async () => {
    const child = script(ECHO);
    child.process.write('{\r\n  "a": 1\n}');
    await child.until(() => child.lines.length > 0);
    expect(child.lines).toEqual(['{    "a": 1 }']);
  });

  it('accepts CRLF and leaves out empty lines', async () => {
    const child = script('process.stdout.write("one\\r\\n\\r\\n\\ntwo\\n")');
    await child.exit();
    expect(child.lines).toEqual(['one', 'two']);
  });

  it('says which command is not there', async () => {
    const child = new Recorder({ command: 'no-such-command-anywhere' });
    expect(await child.exit()).toBe('command not found: no-such-command-anywhere');
    expect(child.process.pid).toBeUndefined();
    expect(child.process.write('{}')).toBe(false);
    await child.process.stop();
    expect(child.exits).toHaveLength(1);
  });

  it('says which working folder is not there', async () => {
    const child = new Recorder({ cwd: '/no/such/folder' });
    expect(await child.exit()).toBe('working folder not found: /no/such/folder');
  });

  it('says that a file is not executable', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-stdio-'));
    const file = join(folder, 'server');
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o644);
    const child = new Recorder({ command: file });
    expect(await child.exit()).toBe(
      `not allowed to execute ${file}; is it a file with the permission to be executed?`,
    );
    rmSync(folder, { recursive: true });
  });

  it('turns what spawn throws into an exit', async () => {
    const child = new Recorder({ args: ['nul\0byte'] });
    expect(child.exits).toEqual([]);
    expect(await child.exit()).toMatch(/^cannot start .*null bytes/);
    expect(child.exits).toHaveLength(1);
  });

  it('quotes the end of stderr, stripped of what a terminal would obey', async () => {
    const child = script(
      'console.error("\\u001b[31mred\\u001b[0m\\u0007 alert"); console.error("last\\u202e words"); process.exit(3)',
    );
    expect(await child.exit()).toBe(
      `${process.execPath} exited with code 3; stderr ended with: red alert | last words`,
    );
    expect(child.stderrLines).toEqual(['red alert', 'last words']);
  });

  it('cuts long lines of stderr and keeps a bounded number', async () => {
    const child = script(
      'for (let i = 0; i < 1000; i++) console.error(i + "x".repeat(5000)); console.error("end")',
      {
        maxStderrLineCount: 2,
      },
    );
    const reason = await child.exit();
    expect(child.stderrLines).toHaveLength(1001);
    expect(Math.max(...child.stderrLines.map((line) => line.length))).toBe(1024);
    expect(reason.endsWith('x | end')).toBe(true);
    expect(reason.length).toBeLessThan(1000);
  });

  it('says which signal ended it', async () => {
    const child = script('process.kill(process.pid, "SIGKILL")');
    expect(await child.exit()).toBe(`${process.execPath} was ended by SIGKILL; it wrote nothing to stderr`);
  });

  it('shows a child nothing of the environment but what it needs', async () => {
    process.env.SLUICE_TEST_SECRET = 'hidden';
    const child = new Recorder({
      args: ['-e', 'console.log(JSON.stringify(process.env))'],
      env: { OWN: 'mine', HOME: '/configured' },
    });
    await child.exit();
    delete process.env.SLUICE_TEST_SECRET;
    const seen = JSON.parse(child.lines[0] ?? '{}');
    expect(seen.OWN).toBe('mine');
    expect(seen.HOME).toBe('/configured');
    expect(seen.PATH).toBe(process.env.PATH);
    const allowed = ['HOME', 'LANG', 'LOGNAME', 'OWN', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'USER'];
    expect(Object.keys(seen).filter((name) => !allowed.includes(name))).toEqual([]);
  });

  it('ends a child that writes a line without end, and reads no more of it', async () => {
    const child = script(
      'process.stdout.write("ok\\n"); for (;;) require("fs").writeSync(1, "x".repeat(65536))',
      {
        maxLineBytes: 100_000,
      },
    );
    expect(await child.exit()).toBe(
      `${process.execPath} wrote a line of more than 100000 bytes, which is the limit`,
    );
    expect(child.lines).toEqual(['ok']);
  });

  it('takes only so much for a child that does not read', async () => {
    const child = script('setInterval(() => {}, 1000)', {
      maxPendingWriteBytes: 300_000,
      terminateGraceMs: 100,
    });
    const message = 'x'.repeat(99_999);
    let taken = 0;
    while (child.process.write(message)) taken += 1;
    // What fits into the pipe itself differs between systems.
    expect(taken).toBeGreaterThanOrEqual(3);
    expect(taken).toBeLessThan(30);
    await child.process.stop();
    expect(child.process.write(message)).toBe(false);
  });

  it('survives writing to a child that closes its stdin', async () => {
    const child = script(
      'require("fs").closeSync(0); console.log("closed"); setTimeout(() => process.exit(4), 200)',
    );
    await child.until(() => child.lines.length === 1);
    for (let count = 0; count < 100; count += 1) child.process.write('{}');
    expect(await child.exit()).toMatch(/exited with code 4/);
  });

  it('costs a child, and not the process, what a callee throws', async () => {
    const child = new Recorder({ args: ['-e', `console.log(1); ${ECHO}`] }, {}, () => {
      throw new Error('bug');
    });
    expect(await child.exit()).toBe(`the gateway could not handle the output of ${process.execPath}: bug`);
  });

  it('lets a child end by itself when its stdin closes', async () => {
    const child = script(
      'process.stdin.resume(); process.stdin.on("end", () => { console.log("bye"); process.exit(0) })',
    );
    child.process.write('{}');
    await child.process.stop();
    expect(child.lines).toEqual(['bye']);
    expect(child.exits).toEqual([`${process.execPath} was stopped by the gateway`]);
  });

  it('ends a child that ignores closed stdin and SIGTERM', async () => {
    const child = script(
      'process.on("SIGTERM", () => console.log("no")); setInterval(() => {}, 1000); console.log("up")',
      {
        terminateGraceMs: 150,
      },
    );
    await child.until(() => child.lines.length === 1);
    await child.process.stop();
    expect(child.lines).toEqual(['up', 'no']);
    expect(exists(child.process.pid as number)).toBe(false);
  });

  it('stops once, however often it is asked', async () => {
    const child = script(ECHO);
    await Promise.all([child.process.stop(), child.process.stop()]);
    await child.process.stop();
    expect(child.exits).toHaveLength(1);
  });
});

describe.skipIf(process.platform === 'win32')('a child that starts others', () => {
  const server = (handler: string): string =>
    `${handler}; setInterval(() => {}, 1000); console.log(process.pid)`;
  const wrapper = (code: string, after = ''): string =>
    `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(code)}], {stdio: "inherit"}); ${after}`;

  it.each([
    ['ends on SIGTERM', ''],
    ['ignores SIGTERM', 'process.on("SIGTERM", () => {})'],
  ])('is ended with a grandchild that holds stdout open and %s', async (_, handler) => {
    const child = script(wrapper(server(handler)), { terminateGraceMs: 200 });
    await child.until(() => child.lines.length === 1);
    const grandchild = Number(child.lines[0]);
    expect(runs(grandchild)).toBe(true);
    await child.process.stop();
    expect(runs(grandchild)).toBe(false);
    expect(child.exits).toHaveLength(1);
  });

  it('leaves no grandchild behind when it ends by itself', async () => {
    const code = wrapper(
      server('process.on("SIGTERM", () => {})'),
      'process.stdin.once("data", () => process.exit(7))',
    );
    // stdin of its own, so that the wrapper alone hears the message.
    const child = script(code.replace('stdio: "inherit"', 'stdio: ["ignore", "inherit", "inherit"]'), {
      terminateGraceMs: 200,
    });
    await child.until(() => child.lines.length === 1);
    const grandchild = Number(child.lines[0]);
    child.process.write('{}');
    expect(await child.exit()).toMatch(/exited with code 7/);
    expect(runs(grandchild)).toBe(false);
  });

  it('is reported gone although a daemon of its own keeps the output open', async () => {
    const daemon = server('').replace('console.log', 'setTimeout(() => process.exit(), 20000); console.log');
    const code = wrapper(daemon, 'process.stdin.once("data", () => process.exit(0))').replace(
      '{stdio: "inherit"}',
      '{detached: true, stdio: ["ignore", "inherit", "inherit"]}',
    );
    const child = script(code, { terminateGraceMs: 200 });
    await child.until(() => child.lines.length === 1);
    child.process.write('{}');
    expect(await child.exit()).toMatch(/exited with code 0/);
    process.kill(Number(child.lines[0]), 'SIGKILL');
  });

  it('is killed when the gateway exits without stopping it', async () => {
    // The built file, because this needs a process of its own.
    const module = new URL('../../../dist/upstream/transport/stdio-process.js', import.meta.url).href;
    const limits = JSON.stringify(LIMITS);
    const command = JSON.stringify({
      command: process.execPath,
      args: ['-e', server('process.on("SIGTERM", () => {})')],
      env: {},
    });
    const gateway = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { spawnStdio } from ${JSON.stringify(module)};
         spawnStdio(${command}, ${limits}, { line(l) { console.log(String(l)); setTimeout(() => process.exit(), 50); }, stderr() {}, exit() {} });`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const output: string[] = [];
    gateway.stdout.on('data', (chunk) => output.push(String(chunk)));
    await new Promise((resolve) => gateway.once('close', resolve));
    const pid = Number(output.join(''));
    expect(pid).toBeGreaterThan(0);
    // The signal is sent by the time the gateway is gone; the kernel needs a moment to act on it.
    while (runs(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('leaves nothing behind after 200 starts and stops', async () => {
    const marker = `census-of-${process.pid}`;
    const listenersBefore = process.listenerCount('exit');
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < 200) {
        const number = next;
        next += 1;
        // A shell with children of its own: the chain that `npx` makes, but cheap enough for hundreds.
        const child = new Recorder(
          {
            command: '/bin/sh',
            args: ['-c', 'sh -c "cat; sleep 100" & cat; wait'],
            env: { SLUICE_CENSUS: marker },
          },
          { terminateGraceMs: number % 2 === 0 ? 20 : 60 },
        );
        if (number % 3 === 0) child.process.write('{}');
        await child.process.stop();
        expect(child.exits).toHaveLength(1);
        started.delete(child);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(process.listenerCount('exit')).toBe(listenersBefore);
    expect(census(marker)).toEqual([]);
  });
});

/** Processes with the marker in their environment, and zombies that this process has not waited for. */
function census(marker: string): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const zombieOfOurs = new RegExp(`\\) Z ${process.pid} `).test(stat);
        return zombieOfOurs || readFileSync(`/proc/${pid}/environ`, 'latin1').includes(marker);
      } catch {
        return false;
      }
    });
}
