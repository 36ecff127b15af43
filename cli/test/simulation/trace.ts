/** What happened in a run, line by line, and a digest that tells whether another run went the same way. */

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), with 32 bits. */
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export class Trace {
  private readonly lines: string[] = [];
  private hash = FNV_OFFSET;
  private count = 0;

  /** @param keeps the lines are to be read afterwards, not only compared */
  constructor(private readonly keeps: boolean) {}

  add(nowMs: number, who: string, what: string): void {
    const line = `${nowMs.toFixed(3).padStart(12)}  ${who.padEnd(8)}  ${what}`;
    this.count += 1;
    let { hash } = this;
    for (let index = 0; index < line.length; index++)
      hash = Math.imul(hash ^ line.charCodeAt(index), FNV_PRIME);
    this.hash = hash;
    if (this.keeps) this.lines.push(line);
  }

  get digest(): string {
    return `${this.count}-${(this.hash >>> 0).toString(16).padStart(8, '0')}`;
  }

  get text(): string {
    return this.lines.join('\n');
  }
}
