const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** Back to the first column, and erase the line (ECMA-48, 8.3.41). */
const ERASE_LINE = '\r\u001b[K';

/** One line on a terminal that says what is being waited for, and leaves no trace. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #text: () => string;
  readonly #timer: NodeJS.Timeout;
  #frame = 0;

  /** @param text asked anew for every frame */
  constructor(stream: NodeJS.WriteStream, text: () => string) {
    this.#stream = stream;
    this.#text = text;
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#draw();
  }

  /** Takes the line away so that something else can be written; the next frame brings it back. */
  erase(): void {
    this.#stream.write(ERASE_LINE);
  }

  end(): void {
    clearInterval(this.#timer);
    this.erase();
  }

  #draw(): void {
    const columns = this.#stream.columns || 80;
    const text = this.#text().slice(0, columns - 3);
    this.#stream.write(`${ERASE_LINE}${FRAMES[this.#frame++ % FRAMES.length]} ${text}`);
  }
}
