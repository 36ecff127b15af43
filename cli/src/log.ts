import { type DestinationStream, type Logger, pino } from 'pino';
import { formatLogLine } from './log-text.js';
import { usesColour } from './terminal.js';

const STDERR = 2;
/** Log text that waits for a slow reader of stderr; beyond it lines are dropped, because requests go first. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

export type LogFormat = 'json' | 'text';

/** The log of the data plane process: pino's JSON lines on stderr, or a readable form of them. */
export interface ProcessLog {
  readonly log: Logger;
  /** Applies a changed configuration. */
  configure(level: string, format: LogFormat): void;
  /** Writes out what waits. Nothing must be logged afterwards. */
  flush(): void;
}

/** @param beforeLine called before a line is written to a terminal, to make room for it */
export function openLog(level: string, format: LogFormat, beforeLine: () => void): ProcessLog {
  const terminal = process.stderr.isTTY === true;
  const colour = usesColour(process.stderr);
  // A terminal is written at once, in step with what stdout shows; a pipe must never block the gateway.
  const destination = pino.destination({ dest: STDERR, sync: terminal, maxLength: MAX_WAITING_BYTES });
  let currentFormat = format;
  const stream: DestinationStream = {
    write(line) {
      if (terminal) beforeLine();
      destination.write(currentFormat === 'text' ? formatLogLine(line, colour) : line);
    },
  };
  const log = pino({ level }, stream);
  return {
    log,
    configure(newLevel, newFormat) {
      log.level = newLevel;
      currentFormat = newFormat;
    },
    flush() {
      destination.flushSync();
    },
  };
}
