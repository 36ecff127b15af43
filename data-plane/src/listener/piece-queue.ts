/** Bytes that wait to be written, handed out in pieces of a bounded size. */
export class PieceQueue {
  #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are out already. */
  #offset = 0;
  #bytes = 0;

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  clear(): void {
    this.#chunks = [];
    this.#offset = 0;
    this.#bytes = 0;
  }

  /** Takes up to `most` bytes. Must not be called when nothing waits. */
  take(most: number): Uint8Array {
    const first = this.#chunks[0] as Uint8Array;
    const left = first.length - this.#offset;
    if (left >= most || this.#chunks.length === 1) return this.#takeFromFirst(Math.min(left, most));
    // Small chunks that came together leave together: one piece costs one system call and one chunk header.
    const piece = Buffer.allocUnsafe(Math.min(this.#bytes, most));
    for (let at = 0; at < piece.length; ) {
      const part = this.#takeFromFirst(
        Math.min((this.#chunks[0] as Uint8Array).length - this.#offset, piece.length - at),
      );
      piece.set(part, at);
      at += part.length;
    }
    return piece;
  }

  #takeFromFirst(count: number): Uint8Array {
    const first = this.#chunks[0] as Uint8Array;
    const piece = first.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    this.#bytes -= count;
    if (this.#offset === first.length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
    return piece;
  }
}
