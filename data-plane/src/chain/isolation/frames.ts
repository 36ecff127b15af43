/** Messages on a byte stream: four bytes of length, then JSON. A length beyond the limit is not read. */
const HEAD_BYTES = 4;

export function frame(message: object): Buffer {
  return frameOfText(JSON.stringify(message));
}

export function frameOfText(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(text));
  bytes.writeUInt32BE(bytes.byteLength - HEAD_BYTES, 0);
  bytes.write(text, HEAD_BYTES);
  return bytes;
}

export class FrameReader {
  private chunks: Buffer[] = [];
  private length = 0;
  private wanted = HEAD_BYTES;
  private isHead = true;

  constructor(
    private readonly maxBytes: number,
    private readonly take: (message: unknown) => void,
  ) {}

  /** Throws when a message is too long or is no JSON; nothing that comes later can then be read. */
  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.byteLength;
    while (this.length >= this.wanted) {
      const all = this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks);
      const own = all.subarray(0, this.wanted);
      this.chunks = [all.subarray(this.wanted)];
      this.length -= own.byteLength;
      if (this.isHead) {
        this.wanted = own.readUInt32BE(0);
        if (this.wanted > this.maxBytes)
          throw new RangeError(`a message of ${this.wanted} bytes, more than ${this.maxBytes}`);
        this.isHead = false;
      } else {
        this.wanted = HEAD_BYTES;
        this.isHead = true;
        this.take(JSON.parse(own.toString()));
      }
    }
  }
}
