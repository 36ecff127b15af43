/** Something that was put off until the cork buffer is free. */
export interface Deferred {
  flush(): void;
}

/** A body that may have to be watched. */
export interface Watched {
  watch(): void;
}

/**
 * Answers that are given in place share one cork buffer of 16 KiB. A head that does not fit loses bytes when the
 * socket is full, so that it is never filled.
 */
const IN_PLACE_BYTES = 15 * 1024;

/**
 * One turn of the event loop in which uWebSockets.js handed out at least one request.
 *
 * While it parses what a socket received, everything written to that socket goes into one cork buffer, the
 * connection cannot be ended, and closing it in the middle of a body is a use after free. JavaScript cannot see
 * when the parser is done (promise callbacks run inside it too), but by the next `setImmediate` it is.
 */
export class UwsTurn {
  /** The request that was handed out last: the only one that may be answered in place. */
  current: Deferred | undefined;
  #open = false;
  #inPlaceBytes = 0;
  #deferred: Deferred[] = [];
  #watched: Watched[] = [];

  constructor(private readonly fault: (error: unknown) => void) {}

  /** True while the parser may be at work. */
  get open(): boolean {
    return this.#open;
  }

  /** To be called first by whatever uWebSockets.js calls while it parses. */
  enter(): void {
    if (this.#open) return;
    this.#open = true;
    setImmediate(this.#leave);
  }

  /** True when an answer of so many bytes may be written in place; it is counted. */
  takeInPlace(bytes: number): boolean {
    if (this.#inPlaceBytes + bytes > IN_PLACE_BYTES) return false;
    this.#inPlaceBytes += bytes;
    return true;
  }

  /** Calls `task.flush` once this turn is over, or soon when there is none. */
  defer(task: Deferred): void {
    this.#deferred.push(task);
    this.enter();
  }

  /** Calls `body.watch` once this turn is over. */
  watch(body: Watched): void {
    this.#watched.push(body);
  }

  readonly #leave = (): void => {
    const deferred = this.#deferred;
    const watched = this.#watched;
    this.#open = false;
    this.#inPlaceBytes = 0;
    this.current = undefined;
    if (watched.length > 0) {
      this.#watched = [];
      for (const body of watched) body.watch();
    }
    if (deferred.length > 0) {
      this.#deferred = [];
      for (const task of deferred) this.#flush(task);
    }
  };

  #flush(task: Deferred): void {
    try {
      task.flush();
    } catch (error) {
      this.fault(error);
    }
  }
}
