/**
 * HalfSipHash-2-4 with 64 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): a hash whose
 * collisions nobody can look for who does not have its key, made of 32-bit operations alone.
 *
 * Reads the UTF-16 code units of the text, two to a word.
 */
export class KeyedHash {
  /** The two halves of the last hash. Read them before the next: nothing is allocated for a hash. */
  low = 0;
  high = 0;
  private v0 = 0;
  private v1 = 0;
  private v2 = 0;
  private v3 = 0;

  constructor(
    private readonly key0: number,
    private readonly key1: number,
  ) {}

  hash(text: string): void {
    this.v0 = this.key0;
    this.v1 = this.key1 ^ 0xee;
    this.v2 = 0x6c796765 ^ this.key0;
    this.v3 = 0x74656462 ^ this.key1;
    const even = text.length & ~1;
    for (let at = 0; at < even; at += 2) this.absorb(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
    // The length in bytes stands in the last word beside what is left.
    this.absorb(((text.length * 2) << 24) | (even === text.length ? 0 : text.charCodeAt(even)));
    this.v2 ^= 0xee;
    this.rounds(4);
    this.low = this.v1 ^ this.v3;
    this.v1 ^= 0xdd;
    this.rounds(4);
    this.high = this.v1 ^ this.v3;
  }

  private absorb(word: number): void {
    this.v3 ^= word;
    this.rounds(2);
    this.v0 ^= word;
  }

  private rounds(count: number): void {
    let { v0, v1, v2, v3 } = this;
    for (let round = 0; round < count; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.v0 = v0;
    this.v1 = v1;
    this.v2 = v2;
    this.v3 = v3;
  }
}
