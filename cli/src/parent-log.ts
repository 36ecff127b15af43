import { hostname } from 'node:os';
import { formatLogLine, LEVEL_NUMBERS } from './log-text.js';
import type { ParentSettings } from './process-messages.js';
import { usesColour } from './terminal.js';

/** The log of the parent process: the same lines as those of the data plane, without its library. */
export class ParentLog {
  /** Taken from the configuration that runs. Until then nothing is logged: whoever starts it is told directly. */
  settings: ParentSettings | undefined;

  write(
    level: keyof typeof LEVEL_NUMBERS,
    msg: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    if (!this.settings) return;
    // A word that is no level is `silent`.
    const least = LEVEL_NUMBERS[this.settings.logLevel as keyof typeof LEVEL_NUMBERS] ?? Infinity;
    if (LEVEL_NUMBERS[level] < least) return;
    const place = { level: LEVEL_NUMBERS[level], time: Date.now(), pid: process.pid, hostname: hostname() };
    const line = `${JSON.stringify({ ...place, ...fields, msg })}\n`;
    const text = this.settings.logFormat === 'text';
    process.stderr.write(text ? formatLogLine(line, usesColour(process.stderr)) : line);
  }
}
