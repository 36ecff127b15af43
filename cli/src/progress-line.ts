import { movesCursor } from './terminal.js';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** Back to the first column, and erase the line (ECMA-48, 8.3.41). */
const ERASE_LINE = '\r\u001b[K';

/**
 * One line on a terminal that says what is being waited for, and leaves no trace. Where the terminal takes no escape
 * codes, every new text is a line of its own, and stays.
 */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #text: () => string;
  readonly #timer: NodeJS.Timeout;
  readonly #isPlain: boolean;
  #frame = 0;
  #said = '';

  /** @param text asked anew for every frame */
  constructor(stream: NodeJS.WriteStream, text: () => string, env: Environment = process.env) {
    this.#stream = stream;
    this.#text = text;
    this.#isPlain = !movesCursor(stream, env);
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#draw();
  }

  /** Takes the line away so that something else can be written; the next frame brings it back. */
  erase(): void {
    if (!this.#isPlain) this.#stream.write(ERASE_LINE);
  }

  end(): void {
    clearInterval(this.#timer);
    this.erase();
  }

  #draw(): void {
    const text = this.#text();
    if (!this.#isPlain) {
      const columns = this.#stream.columns || 80;
      const shown = text.slice(0, columns - 3);
      this.#stream.write(`${ERASE_LINE}${FRAMES[this.#frame++ % FRAMES.length]} ${shown}`);
    } else if (text !== this.#said) {
      this.#said = text;
      this.#stream.write(`${text}\n`);
    }
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
