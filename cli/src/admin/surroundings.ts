/** What a command of the admin API runs in. */
import { stripVTControlCharacters } from 'node:util';
import type { AdminClient } from '@sluice/sdk/admin';
import { type Palette, palette, usesColour } from '../terminal.js';
import type { OutputFlags } from './commands.js';

/** The streams of the process, or those of a test. */
export interface Streams {
  readonly out: Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;
  readonly err: NodeJS.WriteStream;
  readonly input: AsyncIterable<string | Buffer>;
}

/** A command line that cannot be done as it is, found only when it is done. */
export class UsageError extends Error {}

/** One command, as it runs. */
export interface Surroundings extends Streams {
  readonly client: AdminClient;
  /** For what goes to `out`. */
  readonly paint: Palette;
  /** For what goes to `err`. */
  readonly paintErr: Palette;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
}

export function palettesOf({ color }: OutputFlags, { out, err }: Streams) {
  return {
    paint: palette(color && usesColour(out)),
    paintErr: palette(color && usesColour(err)),
  };
}

/** How long ago something was, as `45s`, `12m`, `5h` or `3d`; empty when it is not known. */
export function age(timeMs: number | undefined, nowMs: number): string {
  if (timeMs === undefined) return '';
  const seconds = Math.max(0, Math.floor((nowMs - timeMs) / 1_000));
  if (seconds < 100) return `${seconds}s`;
  if (seconds < 100 * 60) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Cut to a width, where it would break a table. */
export function shortened(text: string, maxLength: number): string {
  const plain = stripVTControlCharacters(text).split('\n')[0] ?? '';
  return plain.length > maxLength ? `${plain.slice(0, maxLength - 1)}…` : plain;
}
