/**
 * Which revisions were being taken when the process ended, so that one that ends it is not taken again and again: not
 * from the disk, and not from the stream. Kept in a file beside the configuration.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Position } from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import type { Refused } from './follower.js';

const FILE = 'configuration.attempts';
/** Once may be chance: somebody killed the process, or the machine went off, at that moment. */
const MAX_DEATH_COUNT = 2;
/** Revisions that are remembered; a newer one that runs has those before it forgotten. */
const MAX_REMEMBERED_COUNT = 8;

/** A revision, and how often its taking began and came to no end. */
interface Attempt {
  readonly storeId: string;
  readonly revision: string;
  /** In hexadecimal. */
  readonly digest: string;
  readonly count: number;
}

export class Attempts {
  private known: readonly Attempt[] = [];
  private written: Promise<void> = Promise.resolve();
  private hasFailed = false;

  constructor(
    private readonly folder: string,
    private readonly log: Pick<Logger, 'warn'>,
  ) {}

  /** What earlier processes left. A file that cannot be read says nothing: then each revision is tried. */
  async read(): Promise<void> {
    const content = await readFile(join(this.folder, FILE), 'utf8').catch(() => '[]');
    try {
      const read: unknown = JSON.parse(content);
      if (Array.isArray(read)) this.known = read.filter(isAttempt).slice(-MAX_REMEMBERED_COUNT);
    } catch {
      this.known = [];
    }
  }

  /** Why a revision is not tried once more; undefined when it is to be tried. */
  refusalOf(position: Position): Refused | undefined {
    const count = this.of(position)?.count ?? 0;
    if (count < MAX_DEATH_COUNT) return undefined;
    return {
      resource: undefined,
      reason: `the process ended while it was prepared, ${count} times; a newer revision is taken`,
    };
  }

  /** To be waited for before anything of it is prepared. */
  begin(position: Position): Promise<void> {
    const before = this.of(position);
    const count = (before?.count ?? 0) + 1;
    const others = this.known.filter((each) => each !== before);
    return this.keep([...others, { ...nameOf(position), count }].slice(-MAX_REMEMBERED_COUNT));
  }

  /** It runs, or was refused; in both cases the process lives. What is older than one that runs is of no interest. */
  end(position: Position, runs: boolean): Promise<void> {
    const isPast = ({ storeId, revision }: Attempt) =>
      storeId !== position.storeId || BigInt(revision) < position.revision;
    const ended = this.of(position);
    return this.keep(this.known.filter((each) => each !== ended && !(runs && isPast(each))));
  }

  /** The process is told to end: whatever it takes at this moment is not the reason. */
  stop(): Promise<void> {
    return this.keep(this.known.filter(({ count }) => count >= MAX_DEATH_COUNT));
  }

  private of(position: Position): Attempt | undefined {
    const { storeId, revision, digest } = nameOf(position);
    return this.known.find(
      (each) => each.storeId === storeId && each.revision === revision && each.digest === digest,
    );
  }

  /** One after the other. What cannot be written is logged once, and serving goes on. */
  private keep(known: readonly Attempt[]): Promise<void> {
    this.known = known;
    this.written = this.written
      .then(() => this.write(JSON.stringify(known)))
      .catch((thrown) => {
        if (!this.hasFailed)
          this.log.warn(
            { err: thrown, folder: this.folder },
            'it cannot be kept on the disk which revision is being taken: one that ends the process would be taken again',
          );
        this.hasFailed = true;
      });
    return this.written;
  }

  /** Beside the old file first: the process may end at any moment. */
  private async write(content: string): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const file = join(this.folder, FILE);
    await writeFile(`${file}.new`, content, { mode: 0o600 });
    await rename(`${file}.new`, file);
    this.hasFailed = false;
  }
}

function nameOf({ storeId, revision, digest }: Position): Omit<Attempt, 'count'> {
  return { storeId, revision: String(revision), digest: Buffer.from(digest).toString('hex') };
}

function isAttempt(read: unknown): read is Attempt {
  if (typeof read !== 'object' || read === null) return false;
  const { storeId, revision, digest, count } = read as Record<string, unknown>;
  return (
    typeof storeId === 'string' &&
    typeof revision === 'string' &&
    /^\d{1,20}$/.test(revision) &&
    typeof digest === 'string' &&
    Number.isInteger(count)
  );
}
