/** Remembers which keys were asked for a short while ago: about as many as it has places, in four bytes each. */
export class AskedBefore {
  private readonly marks: Int32Array;

  /** @param placeCount is rounded up to a power of two */
  constructor(placeCount: number) {
    this.marks = new Int32Array(2 ** Math.ceil(Math.log2(placeCount)));
  }

  /**
   * Whether it was asked for before; it is from now on. Of two keys with one place the later one is remembered, and one
   * of a thousand million is taken for another.
   *
   * @param key a digest in base64url, of six characters or more
   */
  note(key: string): boolean {
    const { marks } = this;
    let hash = 0;
    for (let index = 0; index < 6; index++) hash = (Math.imul(hash, 67) + key.charCodeAt(index)) | 0;
    const place = Math.imul(hash, 0x9e3779b1) >>> (32 - Math.log2(marks.length));
    if (marks[place] === hash) return true;
    marks[place] = hash;
    return false;
  }
}
