import { LineSplitter } from '../../protocol/line-splitter.js';

const MAX_LINE_BYTES = 1024;
/** Lines quoted when a subprocess has ended, and their length in characters together. */
const QUOTED_LINE_COUNT = 5;
const QUOTED_LENGTH = 600;

const ESCAPE_SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
// Control characters, and those that change the direction of the text around them.
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
/** What is left of a character that was cut in two. */
const BROKEN_END = /\ufffd+$/;

/** The lines that a subprocess writes to stderr, made safe to show, and the last of them kept. */
export class StderrTail {
  private readonly lines: string[] = [];
  private readonly splitter: LineSplitter;

  constructor(maxLineCount: number, listener: (line: string) => void) {
    this.splitter = new LineSplitter(MAX_LINE_BYTES, 'cut', (bytes) => {
      const line = printable(bytes);
      if (line === '') return;
      this.lines.push(line);
      if (this.lines.length > maxLineCount) this.lines.shift();
      listener(line);
    });
  }

  push(chunk: Buffer): void {
    this.splitter.push(chunk);
  }

  /** Takes a last line without its end. */
  flush(): void {
    this.splitter.flush();
  }

  /** The end of what was written, on one line; empty when nothing was. */
  quote(): string {
    const text = this.lines.slice(-QUOTED_LINE_COUNT).join(' | ');
    return text.length > QUOTED_LENGTH ? `…${text.slice(-QUOTED_LENGTH)}` : text;
  }
}

function printable(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  const whole = bytes.length === MAX_LINE_BYTES ? text.replace(BROKEN_END, '') : text;
  return whole.replace(ESCAPE_SEQUENCES, '').replace(/\t/g, ' ').replace(CONTROL_CHARACTERS, '').trimEnd();
}
