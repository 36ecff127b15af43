import { type DestinationStream, type Logger, pino } from 'pino';
import { formatLogLine } from './log-text.js';
import { usesColour } from './terminal.js';

const STDERR = 2;
/** Log text that waits for a slow reader of stderr; beyond it lines are dropped, because requests go first. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/** A reader that is slower than this at the very end loses the last lines. */
const FLUSH_LIMIT_MS = 500;

export type LogFormat = 'json' | 'text';

/** The log of the data plane process: pino's JSON lines on stderr, or a readable form of them. */
export interface ProcessLog {
  readonly log: Logger;
  /** Applies a changed configuration. */
  configure(level: string, format: LogFormat): void;
  /** Resolves when what was logged has been written, or cannot be. */
  flush(): Promise<void>;
}

/** @param beforeLine called before a line is written to a terminal, to make room for it */
export function openLog(level: string, format: LogFormat, beforeLine: () => void): ProcessLog {
  const terminal = process.stderr.isTTY === true;
  const colour = usesColour(process.stderr);
  // A terminal is written at once, in step with what stdout shows; a pipe must never block the gateway.
  const destination = pino.destination({ dest: STDERR, sync: terminal, maxLength: MAX_WAITING_BYTES });
  // A reader that went away, or a terminal that was closed, must not take the gateway down. Nothing more is
  // given to the destination then, because it would try again for ever.
  let broken = false;
  destination.on('error', () => {
    broken = true;
  });
  let currentFormat = format;
  const stream: DestinationStream = {
    write(line) {
      if (broken) return;
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
      return new Promise((resolve) => {
        if (broken) return resolve();
        setTimeout(resolve, FLUSH_LIMIT_MS);
        destination.once('error', () => resolve());
        destination.flush(() => resolve());
      });
    },
  };
}
