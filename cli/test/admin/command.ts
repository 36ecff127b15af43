import { PassThrough, Readable } from 'node:stream';
import { runAdminCommand } from '../../src/admin/run.js';
import { onlyAction, runCommandLine } from '../../src/command-line.js';

/** What a command printed, and its exit code. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Typed {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether stdout and stderr are a terminal. */
  readonly isTerminal?: boolean;
  /** Told all that stderr has shown so far, whenever that is more. */
  readonly onErr?: (text: string) => void;
}

/** Runs a command line of the admin API as `sluice` does, in this process. */
export async function sluice(argv: readonly string[], typed: Typed = {}): Promise<Said> {
  const { input = '', environment = {}, isTerminal = false, onErr } = typed;
  const streams = {
    out: terminal(isTerminal),
    err: terminal(isTerminal, onErr),
    input: Readable.from([input]),
  };
  const code = await runCommandLine(
    argv,
    onlyAction('admin', (command) => runAdminCommand(command, streams, environment)),
  );
  return { code, out: streams.out.text(), err: streams.err.text() };
}

function terminal(isTerminal: boolean, onText: (text: string) => void = () => {}) {
  let text = '';
  const stream = new PassThrough();
  stream.on('data', (chunk) => {
    text += chunk;
    onText(text);
  });
  return Object.assign(stream as unknown as NodeJS.WriteStream, {
    ...(isTerminal && { isTTY: true as const, columns: 200 }),
    text: () => text,
  });
}
