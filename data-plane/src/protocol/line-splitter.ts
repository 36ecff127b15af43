const LF = 0x0a;
const CR = 0x0d;
/** Room for the beginning of a line that is cut; it doubles as the line grows. */
const INITIAL_PARTIAL_BYTES = 4096;

/** What becomes of a line that is longer than allowed: an error, or its beginning as if the rest were not there. */
export type LongLine = 'fail' | 'cut';

/**
 * Cuts a byte stream into lines, however it arrives. Each byte is copied at most a constant number of times, and
 * a line that lies within one chunk not at all. LF ends a line, a CR in front of it belongs to the end, empty
 * lines are left out. What follows the last LF is no line until `flush`.
 */
export class LineSplitter {
  private partial: Buffer | undefined = undefined;
  private partialBytes = 0;
  /** The rest of a line that was cut. */
  private skipping = false;
  private failed = false;

  constructor(
    private readonly maxLineBytes: number,
    private readonly longLine: LongLine,
    private readonly emit: (line: Buffer) => void,
  ) {}

  /** Takes ownership of the chunk. Returns false when a line is too long and `fail` is asked for; then and ever after. */
  push(chunk: Buffer): boolean {
    let start = 0;
    while (start < chunk.length && !this.failed) {
      const end = chunk.indexOf(LF, start);
      if (end < 0) {
        this.keep(chunk.subarray(start));
        break;
      }
      if (this.partialBytes === 0 && !this.skipping) this.take(chunk.subarray(start, end));
      else {
        this.keep(chunk.subarray(start, end));
        this.flush();
      }
      start = end + 1;
    }
    return !this.failed;
  }

  /** Counts what came since the last LF as a line. */
  flush(): void {
    const { partial, partialBytes } = this;
    this.partial = undefined;
    this.partialBytes = 0;
    this.skipping = false;
    if (partial !== undefined && !this.failed) this.take(partial.subarray(0, partialBytes));
  }

  private take(line: Buffer): void {
    const length = line[line.length - 1] === CR ? line.length - 1 : line.length;
    if (length > this.maxLineBytes && this.longLine === 'fail') this.failed = true;
    else if (length > 0) this.emit(line.subarray(0, Math.min(length, this.maxLineBytes)));
  }

  private keep(bytes: Buffer): void {
    if (this.skipping) return;
    // One byte more than a line may have, because the last one may turn out to be the CR of its end.
    const room = this.maxLineBytes + 1 - this.partialBytes;
    if (bytes.length > room) {
      if (this.longLine === 'fail') {
        this.failed = true;
        this.partial = undefined;
        return;
      }
      this.skipping = true;
    }
    const taken = bytes.subarray(0, room);
    const needed = this.partialBytes + taken.length;
    if (this.partial === undefined || this.partial.length < needed) this.grow(needed);
    taken.copy(this.partial as Buffer, this.partialBytes);
    this.partialBytes = needed;
  }

  private grow(neededBytes: number): void {
    const capacity = Math.max(INITIAL_PARTIAL_BYTES, neededBytes, (this.partial?.length ?? 0) * 2);
    const grown = Buffer.allocUnsafeSlow(Math.min(capacity, this.maxLineBytes + 1));
    this.partial?.copy(grown, 0, 0, this.partialBytes);
    this.partial = grown;
  }
}
