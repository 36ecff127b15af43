/**
 * JSON in one spelling, so that requests which say the same have the same key: members in the order of their names,
 * strings without needless escapes, no spaces. Numbers stay as they are written: 1 and 1.0 are two things to many
 * servers, and so are integers that a double cannot tell apart. Nothing is normalised beyond that: what only looks the
 * same is not the same.
 *
 * Every request that may be answered from what is kept passes here, so a text is gone through once, and what is written
 * in that spelling already is handed on as one piece of it.
 */

/** A member of an object. */
export interface Member {
  readonly name: string;
  /** The name as JSON. */
  readonly spelled: string;
  /** The value in one spelling; empty for one that was opened. */
  readonly value: string;
  /** The members of a value that was to be opened and is an object. */
  readonly members: readonly Member[] | undefined;
}

/**
 * The members of an object, in order of their names. Throws a SyntaxError for a text that is no object.
 *
 * @param opened name of a member whose own members are wanted.
 */
export function membersOf(text: string, opened?: string): readonly Member[] {
  const reader = new Reader(text);
  const members = reader.members(opened);
  reader.end();
  return members;
}

export function objectOf(members: readonly Member[]): string {
  let text = '{';
  for (let index = 0; index < members.length; index++) {
    const { spelled, value, members: inner } = members[index] as Member;
    text += index === 0 ? spelled : `,${spelled}`;
    text += `:${inner === undefined ? value : objectOf(inner)}`;
  }
  return `${text}}`;
}

/** Where a value stands in a text. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

/**
 * Where the values of members stand in the text of an object, in the order of their names here; of one that comes
 * twice the last, undefined for what is not there. Throws a SyntaxError for a text that is no object.
 */
export function placesOf(text: string, names: readonly string[]): (Place | undefined)[] {
  const places: (Place | undefined)[] = names.map(() => undefined);
  const reader = new Reader(text);
  for (let name = reader.first(); name !== undefined; name = reader.another()) {
    const start = reader.valueStart();
    reader.skip();
    const index = names.indexOf(name);
    if (index !== -1) places[index] = { start, end: reader.at };
  }
  return places;
}

/** Longer lists are left to a sort that does not compare each with each. */
const MAX_INSERTED_COUNT = 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

function isSpace(code: number): boolean {
  return code === SPACE || code === 0x0a || code === 0x0d || code === 0x09;
}

class Reader {
  at = 0;
  /** Of the value that was read last: true when it stands in the text in that one spelling. */
  private isAsWritten = true;
  /** The next backslash that is not behind; the length of the text when there is none. */
  private backslashAt: number;

  constructor(private readonly text: string) {
    this.backslashAt = this.backslashFrom(0);
  }

  end(): void {
    this.next();
    if (this.at < this.text.length) throw this.unexpected();
  }

  /** The name of the first member of an object, as it is meant; undefined for an object that has none. */
  first(): string | undefined {
    this.expect(OPEN_BRACE);
    if (this.next() !== CLOSE_BRACE) return this.name();
    this.at++;
    return undefined;
  }

  /** The name of the member behind the value that was read; undefined at the end of the object. */
  another(): string | undefined {
    return this.goesOn(CLOSE_BRACE) ? this.name() : undefined;
  }

  /** Goes to the value of a member whose name was read. */
  valueStart(): number {
    this.expect(COLON);
    this.next();
    return this.at;
  }

  members(opened?: string): Member[] {
    const members: Member[] = [];
    this.next();
    const { at } = this;
    let length = 1;
    let isAsWritten = true;
    for (let name = this.first(); name !== undefined; name = this.another()) {
      const spelled = this.spelled;
      isAsWritten &&= this.isAsWritten;
      this.expect(COLON);
      const isOpened = name === opened && this.next() === OPEN_BRACE;
      const inner = isOpened ? this.members() : undefined;
      const value = isOpened ? '' : this.value();
      isAsWritten &&= this.isAsWritten;
      const before = members[members.length - 1];
      if (before !== undefined && before.name > name) isAsWritten = false;
      // With a colon, and a comma or the last brace.
      length += spelled.length + value.length + 2;
      members.push({ name, spelled, value, members: inner });
    }
    // What takes no more room than its parts has no spaces between them.
    this.isAsWritten = isAsWritten && this.at - at === (members.length === 0 ? '{}'.length : length);
    return isAsWritten ? members : sorted(members);
  }

  private spelled = '';

  /** A name as it is meant; `spelled` is then how it is written. */
  private name(): string {
    const start = this.at;
    const written = this.string();
    this.isAsWritten = true;
    this.spelled = written;
    if (this.at <= this.backslashAt || !this.hasEscapes(start)) return written.slice(1, -1);
    const name = JSON.parse(written) as string;
    this.spelled = JSON.stringify(name);
    this.isAsWritten = this.spelled === written;
    return name;
  }

  private value(): string {
    const code = this.next();
    const start = this.at;
    if (code === QUOTE) return this.spelledString();
    if (code === OPEN_BRACE) {
      const members = this.members();
      return this.isAsWritten ? this.text.slice(start, this.at) : objectOf(members);
    }
    if (code === OPEN_BRACKET) return this.list();
    this.isAsWritten = true;
    return this.word();
  }

  private list(): string {
    const start = this.at++;
    if (this.next() === CLOSE_BRACKET) {
      this.at++;
      this.isAsWritten = this.at === start + 2;
      return '[]';
    }
    let items = '[';
    let isAsWritten = true;
    do {
      items += items.length === 1 ? this.value() : `,${this.value()}`;
      isAsWritten &&= this.isAsWritten;
    } while (this.goesOn(CLOSE_BRACKET));
    this.isAsWritten = isAsWritten && items.length + 1 === this.at - start;
    return this.isAsWritten ? this.text.slice(start, this.at) : `${items}]`;
  }

  private spelledString(): string {
    const start = this.at;
    const written = this.string();
    this.isAsWritten = true;
    if (this.at <= this.backslashAt || !this.hasEscapes(start)) return written;
    const spelled = JSON.stringify(JSON.parse(written));
    this.isAsWritten = spelled === written;
    return spelled;
  }

  /** Goes behind a value. */
  skip(): void {
    const code = this.next();
    if (code === QUOTE) this.skipString();
    else if (code === OPEN_BRACE) {
      for (let more = this.begins(CLOSE_BRACE); more; more = this.goesOn(CLOSE_BRACE)) {
        this.skipString();
        this.expect(COLON);
        this.skip();
      }
    } else if (code === OPEN_BRACKET) {
      for (let more = this.begins(CLOSE_BRACKET); more; more = this.goesOn(CLOSE_BRACKET)) this.skip();
    } else this.skipWord();
  }

  /** Goes into an object or a list; false when nothing is in it, and it is behind. */
  private begins(close: number): boolean {
    this.at++;
    if (this.next() !== close) return true;
    this.at++;
    return false;
  }

  /** Goes behind the comma, or the end of an object or a list, which is then false. */
  private goesOn(close: number): boolean {
    const code = this.next();
    if (code !== COMMA && code !== close) throw this.unexpected();
    this.at++;
    return code === COMMA;
  }

  /** A string as it is written, with its quotes. */
  private string(): string {
    this.next();
    const start = this.at;
    this.skipString();
    return this.text.slice(start, this.at);
  }

  private skipString(): void {
    if (this.next() !== QUOTE) throw this.unexpected();
    const { text } = this;
    let end = text.indexOf('"', this.at + 1);
    while (end !== -1 && this.isEscaped(end)) end = text.indexOf('"', end + 1);
    if (end === -1) throw this.unexpected();
    this.at = end + 1;
  }

  /** An odd number of backslashes before it. */
  private isEscaped(at: number): boolean {
    let before = at - 1;
    while (this.text.charCodeAt(before) === BACKSLASH) before--;
    return (at - before) % 2 === 0;
  }

  /** True when there is a backslash between there and here. */
  private hasEscapes(start: number): boolean {
    if (this.backslashAt < start) this.backslashAt = this.backslashFrom(start);
    return this.backslashAt < this.at;
  }

  private backslashFrom(at: number): number {
    const found = this.text.indexOf('\\', at);
    return found === -1 ? this.text.length : found;
  }

  /** A number, true, false or null. */
  private word(): string {
    const start = this.at;
    this.skipWord();
    return this.text.slice(start, this.at);
  }

  private skipWord(): void {
    const { text } = this;
    const start = this.at;
    let { at } = this;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code)) break;
    }
    if (at === start) throw this.unexpected();
    this.at = at;
  }

  private expect(code: number): void {
    if (this.next() !== code) throw this.unexpected();
    this.at++;
  }

  /** The next character that is no space; NaN at the end. */
  private next(): number {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      // Above a space nothing is one: of most characters nothing else is asked.
      if (code > SPACE || !isSpace(code)) return code;
      this.at++;
    }
  }

  private unexpected(): SyntaxError {
    return new SyntaxError(`no JSON object, at character ${this.at}`);
  }
}

function byName({ name: a }: Member, { name: b }: Member): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Members in the order of their names; those of one name stay in theirs. */
function sorted(members: Member[]): Member[] {
  // The engine's own sort allocates some KB for each list, however short.
  if (members.length > MAX_INSERTED_COUNT) return members.sort(byName);
  for (let index = 1; index < members.length; index++) {
    const member = members[index] as Member;
    let at = index;
    while (at > 0 && (members[at - 1] as Member).name > member.name) {
      members[at] = members[at - 1] as Member;
      at--;
    }
    members[at] = member;
  }
  return members;
}
