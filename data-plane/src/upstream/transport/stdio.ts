/**
 * The subprocess port: newline-delimited JSON-RPC over stdin and stdout of a supervised child.
 */

export interface StdioCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the small set of variables that a child inherits (PATH, HOME, …), which is an allow-list. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
}

export interface StdioLimits {
  /** Longest line from the child; a longer one ends it. */
  readonly maxLineBytes: number;
  /** Bytes that may wait for a child that does not read. */
  readonly maxPendingWriteBytes: number;
  /** After stdin is closed: time until SIGTERM, and from there until SIGKILL. */
  readonly terminateGraceMs: number;
  /** Lines of stderr that are kept for messages; each cut at 1 KiB. */
  readonly maxStderrLineCount: number;
}

export interface StdioEvents {
  /** One line without its newline. The buffer belongs to the callee. */
  line(line: Buffer): void;
  /** One line of stderr, cut and stripped of control characters. */
  stderr(line: string): void;
  /** Called once, however the child ended; `reason` is a sentence that quotes the end of stderr. */
  exit(reason: string): void;
}

/** One child process. It is started by the constructor-like function below and never restarted by itself. */
export interface StdioProcess {
  readonly pid: number | undefined;
  /** Writes one message (latin-1 text, one character for each byte, without newline). False when the child is gone or its queue is full. */
  write(message: string): boolean;
  /** Closes stdin, then SIGTERM, then SIGKILL, to the child's whole process group; resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
}

export type SpawnStdio = (command: StdioCommand, limits: StdioLimits, events: StdioEvents) => StdioProcess;
