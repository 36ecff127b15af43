/**
 * JSON in one spelling, so that requests which say the same have the same key: members in the order of their names,
 * strings without needless escapes, no spaces. Numbers stay as they are written: 1 and 1.0 are two things to many
 * servers, and so are integers that a double cannot tell apart. Nothing is normalised beyond that: what only looks the
 * same is not the same.
 */

/** A member of an object: its name, and its value in one spelling. */
export type Member = readonly [name: string, value: string];

/** The members of an object, in order of their names. Throws a SyntaxError for a text that is no object. */
export function membersOf(text: string): readonly Member[] {
  const reader = new Reader(text);
  const members = reader.members();
  reader.end();
  return members;
}

export function objectOf(members: readonly Member[]): string {
  let text = '{';
  for (const [name, value] of members) {
    if (text.length > 1) text += ',';
    text += `${PLAIN_NAME.test(name) ? `"${name}"` : JSON.stringify(name)}:${value}`;
  }
  return `${text}}`;
}

/** What JSON has no second spelling for but escapes that nobody needs: nearly every name. */
const PLAIN_NAME = /^[\w .:/$-]*$/;

function byName([a]: Member, [b]: Member): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Where the value of a member stands in the text of an object; undefined when it has none of that name. */
export function placeOf(text: string, name: string): { start: number; end: number } | undefined {
  // Most have none, and need not be read.
  if (!text.includes(name)) return undefined;
  return new Reader(text).place(name);
}

const SPACE = 0x20;

function isSpace(code: number): boolean {
  return code === SPACE || code === 0x0a || code === 0x0d || code === 0x09;
}

const END_OF_WORD = /[\s,\]}]/g;

class Reader {
  private at = 0;

  constructor(private readonly text: string) {}

  end(): void {
    if (this.next() !== '') throw this.unexpected();
  }

  members(): Member[] {
    const members: Member[] = [];
    this.each('{', '}', () => {
      const name = this.name();
      this.expect(':');
      members.push([name, this.value()]);
    });
    return members.length > 1 ? members.sort(byName) : members;
  }

  private name(): string {
    const written = this.string();
    const inside = written.slice(1, -1);
    return PLAIN_NAME.test(inside) ? inside : (JSON.parse(written) as string);
  }

  place(wanted: string): { start: number; end: number } | undefined {
    let place: { start: number; end: number } | undefined;
    this.each('{', '}', () => {
      const name = this.name();
      this.expect(':');
      this.next();
      const start = this.at;
      this.skip();
      if (name === wanted) place = { start, end: this.at };
    });
    return place;
  }

  private value(): string {
    switch (this.next()) {
      case '{':
        return objectOf(this.members());
      case '[': {
        const items: string[] = [];
        this.each('[', ']', () => items.push(this.value()));
        return `[${items.join()}]`;
      }
      case '"': {
        const written = this.string();
        return written.includes('\\') ? JSON.stringify(JSON.parse(written)) : written;
      }
      default:
        return this.word();
    }
  }

  /** Goes behind a value. */
  private skip(): void {
    switch (this.next()) {
      case '{':
        this.each('{', '}', () => {
          this.string();
          this.expect(':');
          this.skip();
        });
        return;
      case '[':
        this.each('[', ']', () => this.skip());
        return;
      case '"':
        this.string();
        return;
      default:
        this.word();
    }
  }

  private each(open: string, close: string, item: () => void): void {
    this.expect(open);
    if (this.next() === close) {
      this.at++;
      return;
    }
    for (;;) {
      item();
      const next = this.next();
      this.at++;
      if (next === close) return;
      if (next !== ',') throw this.unexpected();
    }
  }

  /** A string as it is written, with its quotes. */
  private string(): string {
    if (this.next() !== '"') throw this.unexpected();
    const start = this.at;
    let end = this.text.indexOf('"', start + 1);
    while (end !== -1 && this.isEscaped(end)) end = this.text.indexOf('"', end + 1);
    if (end === -1) throw this.unexpected();
    this.at = end + 1;
    return this.text.slice(start, this.at);
  }

  /** An odd number of backslashes before it. */
  private isEscaped(at: number): boolean {
    let before = at - 1;
    while (this.text[before] === '\\') before--;
    return (at - before) % 2 === 0;
  }

  /** A number, true, false or null. */
  private word(): string {
    const start = this.at;
    END_OF_WORD.lastIndex = start;
    this.at = END_OF_WORD.exec(this.text)?.index ?? this.text.length;
    if (this.at === start) throw this.unexpected();
    return this.text.slice(start, this.at);
  }

  private expect(character: string): void {
    if (this.next() !== character) throw this.unexpected();
    this.at++;
  }

  /** The next character that is no space; empty at the end. */
  private next(): string {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      // Above a space nothing is one: of most characters nothing else is asked.
      if (code > SPACE || !isSpace(code)) return this.text.charAt(this.at);
      this.at++;
    }
  }

  private unexpected(): SyntaxError {
    return new SyntaxError(`no JSON object, at character ${this.at}`);
  }
}
