import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pinsFileOf } from './pins-file.js';

/** An editor writes in several steps; a file that was quiet for this long is whole. */
const DEBOUNCE_MS = 100;

/**
 * Notifications of the system come at once but not everywhere: network file systems and some container mounts
 * send none. Looking once in a while costs next to nothing.
 */
const POLL_INTERVAL_MS = 1000;

/** A file that so many looks in a row have missed is gone. */
const GONE_AFTER_COUNT = 2;

/** Ends the watching of a file. */
export interface ConfigurationWatch {
  close(): void;
}

/**
 * Calls `onChange` once for each change of the file's content. A file that is replaced, reached through
 * symbolic links that change (as in a Kubernetes ConfigMap), or away for a while is followed; while it is away
 * nothing is reported. What was there when this was called is no change: begin to watch before loading.
 */
export function watchConfigurationFile(path: string, onChange: () => void): ConfigurationWatch {
  const watching = new FileWatch(path, onChange);
  return { close: () => watching.close() };
}

/**
 * The same for the file of a configuration and what stands beside it as a part of it.
 *
 * @param onPinsGone is called once when the file of accepted definitions is taken away: what was read of it stays until
 *   the configuration is read again
 */
export function watchConfiguration(
  file: string,
  onChange: () => void,
  onPinsGone: (pinsFile: string) => void,
): ConfigurationWatch {
  const pins = pinsFileOf(file);
  const watches = [
    watchConfigurationFile(file, onChange),
    new FileWatch(pins, onChange, () => onPinsGone(pins)),
  ];
  return {
    close() {
      for (const watch of watches) watch.close();
    },
  };
}

class FileWatch {
  private reported: string | undefined;
  /** Content seen by the last look, which is reported when the next look sees it again. */
  private pending: string | undefined;
  /** Looks in a row that found nothing: an editor may take a file away and put another in its place. */
  private missedCount = 0;
  private readonly folders = new Map<string, FSWatcher>();
  private timer: NodeJS.Timeout | undefined;
  private readonly poll: NodeJS.Timeout;
  private isClosed = false;
  private isLooking = false;

  constructor(
    private readonly path: string,
    private readonly onChange: () => void,
    private readonly onGone?: () => void,
  ) {
    try {
      this.reported = digest(readFileSync(path));
    } catch {
      // It may come later; its first content is then a change.
    }
    this.watchFolders();
    this.poll = setInterval(() => this.lookSoon(), POLL_INTERVAL_MS).unref();
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.poll);
    clearTimeout(this.timer);
    for (const watcher of this.folders.values()) watcher.close();
    this.folders.clear();
  }

  /** Folders and not the file: a watch on a file stays with what was replaced. */
  private watchFolders(): void {
    const wanted = new Set([dirname(this.path)]);
    try {
      wanted.add(dirname(realpathSync(this.path)));
    } catch {
      // Away at the moment.
    }
    for (const [folder, watcher] of this.folders) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.folders.delete(folder);
    }
    for (const folder of wanted) {
      if (!this.folders.has(folder)) this.watchFolder(folder);
    }
  }

  private watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.lookSoon());
      // A folder that goes away, or a system without watches left: the poll goes on.
      watcher.on('error', () => {
        watcher.close();
        this.folders.delete(folder);
      });
      this.folders.set(folder, watcher);
    } catch {
      // As above.
    }
  }

  private lookSoon(): void {
    if (this.isClosed) return;
    // A look that is due is not put off: other files of a busy folder would put it off for ever.
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.look();
    }, DEBOUNCE_MS).unref();
  }

  private async look(): Promise<void> {
    if (this.isLooking) return this.lookSoon();
    this.isLooking = true;
    const found = await this.contentDigest();
    this.isLooking = false;
    if (this.isClosed) return;
    this.watchFolders();
    this.missedCount = found === undefined ? this.missedCount + 1 : 0;
    if (this.onGone && this.missedCount === GONE_AFTER_COUNT && this.reported !== undefined) {
      // The configuration may be read without it meanwhile; the same content is then a change.
      this.reported = undefined;
      this.onGone();
    }
    if (found === undefined || found === this.reported) {
      this.pending = undefined;
    } else if (found === this.pending) {
      this.pending = undefined;
      this.reported = found;
      this.onChange();
    } else {
      this.pending = found;
      this.lookSoon();
    }
  }

  private async contentDigest(): Promise<string | undefined> {
    try {
      return digest(await readFile(this.path));
    } catch {
      return undefined;
    }
  }
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('base64');
}
