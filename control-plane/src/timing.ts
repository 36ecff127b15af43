/** Time and chance, for what waits and for what needs a name: a simulation brings its own. */
import { randomUUID } from 'node:crypto';

/** Nothing that waits keeps the process alive. Each way to wait returns how to end it. */
export interface Timing {
  /** Calls back once after a time. */
  after(ms: number, what: () => void): () => void;
  /** Calls back again and again. */
  every(ms: number, what: () => void): () => void;
  /** Calls back when what has come in so far has been dealt with. */
  soon(what: () => void): () => void;
  /** A name that nothing else has. */
  newId(): string;
}

export const SYSTEM_TIMING: Timing = {
  after: (ms, what) => {
    const timer = setTimeout(what, ms).unref();
    return () => clearTimeout(timer);
  },
  every: (ms, what) => {
    const timer = setInterval(what, ms).unref();
    return () => clearInterval(timer);
  },
  soon: (what) => {
    const turn = setImmediate(what);
    return () => clearImmediate(turn);
  },
  newId: randomUUID,
};
