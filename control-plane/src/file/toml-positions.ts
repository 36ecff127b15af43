import type { Position } from './source-tree.js';

/** Where a key and its value stand in a TOML text. */
export interface TomlPlace {
  readonly key: Position;
  readonly value: Position;
  /** The value as written; empty for tables. */
  readonly raw: string;
}

/**
 * Finds where the values of a TOML text stand. The text must already have been parsed without an error, so
 * this reads only as much of the grammar as it takes to find keys and to pass over values.
 *
 * @returns places by {@link tomlPlaceKey} of the path; list indices are decimal
 */
export function locateTomlValues(text: string): ReadonlyMap<string, TomlPlace> {
  return new TomlScanner(text).scan();
}

/** Key of a path in the result of {@link locateTomlValues}. */
export function tomlPlaceKey(path: readonly (string | number)[]): string {
  return JSON.stringify(path.map(String));
}

type Path = readonly (string | number)[];

class TomlScanner {
  private offset = 0;
  private lineStart = 0;
  private line = 1;
  private lineOffset = 0;
  private readonly places = new Map<string, TomlPlace>();
  private readonly arrayLengths = new Map<string, number>();

  constructor(private readonly text: string) {}

  scan(): ReadonlyMap<string, TomlPlace> {
    let table: Path = [];
    for (this.skipBlank(); this.offset < this.text.length; this.skipBlank()) {
      if (this.text[this.offset] === '[') table = this.header();
      else this.keyValue(table);
    }
    return this.places;
  }

  /** Counts lines from where the last call ended: places are asked for in the order of the text. */
  private here(): Position {
    for (; this.lineOffset < this.offset; this.lineOffset++) {
      if (this.text[this.lineOffset] !== '\n') continue;
      this.line++;
      this.lineStart = this.lineOffset + 1;
    }
    return { line: this.line, column: this.offset - this.lineStart + 1 };
  }

  private skip(pattern: RegExp): string {
    pattern.lastIndex = this.offset;
    const [found] = pattern.exec(this.text) ?? [''];
    this.offset += found.length;
    return found;
  }

  private skipBlank(): void {
    this.skip(/(?:[ \t\r\n]|#[^\n]*)*/y);
  }

  /** `[table]` or `[[list of tables]]`; returns the path that the following keys belong to. */
  private header(): Path {
    const position = this.here();
    const isList = this.skip(/\[\[?/y) === '[[';
    const keys = this.dottedKey();
    this.skip(/[ \t]*\]\]?/y);
    let path: Path = [];
    keys.forEach((key, index) => {
      path = [...path, key];
      const name = tomlPlaceKey(path);
      const isNewItem = isList && index === keys.length - 1;
      if (!this.places.has(name)) this.places.set(name, { key: position, value: position, raw: '' });
      const length = (this.arrayLengths.get(name) ?? 0) + (isNewItem ? 1 : 0);
      if (isNewItem) this.arrayLengths.set(name, length);
      if (length > 0) path = [...path, length - 1];
    });
    this.places.set(tomlPlaceKey(path), { key: position, value: position, raw: '' });
    return path;
  }

  private keyValue(table: Path): void {
    const key = this.here();
    const keys = this.dottedKey();
    this.skip(/[ \t]*=[ \t]*/y);
    const path = [...table, ...keys];
    const value = this.here();
    for (let length = table.length + 1; length < path.length; length++) {
      const name = tomlPlaceKey(path.slice(0, length));
      if (!this.places.has(name)) this.places.set(name, { key, value, raw: '' });
    }
    const start = this.offset;
    this.value(path);
    this.places.set(tomlPlaceKey(path), { key, value, raw: this.text.slice(start, this.offset) });
  }

  private dottedKey(): string[] {
    const keys: string[] = [];
    do {
      this.skip(/[ \t]*/y);
      const quoted = this.skip(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y);
      keys.push(quoted === '' ? this.skip(/[A-Za-z0-9_-]+/y) : unquote(quoted));
    } while (this.skip(/[ \t]*\./y) !== '');
    return keys;
  }

  private value(path: Path): void {
    const first = this.text[this.offset];
    if (first === '[') this.list(path);
    else if (first === '{') this.inlineTable(path);
    else if (first === '"' || first === "'") this.skipString();
    else this.skip(/[^,\]}#\r\n]*/y);
  }

  private skipString(): void {
    const multiline = this.skip(/"""(?:[^\\]|\\[^])*?"""(?:""|")?|'''[^]*?'''(?:''|')?/y);
    if (multiline === '') this.skip(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y);
  }

  private list(path: Path): void {
    this.offset++;
    for (let index = 0; ; index++) {
      this.skip(/(?:[ \t\r\n,]|#[^\n]*)*/y);
      if (this.offset >= this.text.length || this.skip(/\]/y) !== '') return;
      const position = this.here();
      const start = this.offset;
      this.value([...path, index]);
      const raw = this.text.slice(start, this.offset).trimEnd();
      this.places.set(tomlPlaceKey([...path, index]), { key: position, value: position, raw });
    }
  }

  private inlineTable(path: Path): void {
    this.offset++;
    for (;;) {
      this.skip(/(?:[ \t\r\n,]|#[^\n]*)*/y);
      if (this.offset >= this.text.length || this.skip(/\}/y) !== '') return;
      this.keyValue(path);
    }
  }
}

function unquote(quoted: string): string {
  if (quoted.startsWith("'")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    // `\U…` and `\e` are not JSON; such a key loses its own position and keeps that of its table.
    return quoted.slice(1, -1);
  }
}
