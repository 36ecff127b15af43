import type { HttpRequest } from 'uWebSockets.js';
import { ANONYMOUS } from '../exchange/exchange.js';
import { FieldSection } from './fields.js';
import type { RequestHead } from './listener.js';
import type { UwsReply } from './uws-reply.js';

/** Copies header fields out of requests, which live only as long as the call that hands them out. */
export class UwsFieldReader {
  #section = new FieldSection();
  /** Names of fields whose value is not ASCII and has to be read once more as latin-1. */
  #foreign: string[] | undefined;

  /** The fields of a request, or undefined when one cannot be read for certain. */
  read(req: HttpRequest): FieldSection | undefined {
    const section = new FieldSection();
    this.#section = section;
    this.#foreign = undefined;
    req.forEach(this.#collect);
    // `forEach` reads values as UTF-8 and loses what is not; `getHeader` reads latin-1, but only the first.
    for (const name of this.#foreign ?? []) {
      if (section.repeated?.includes(name)) return undefined;
      section.headers[name] = req.getHeader(name);
    }
    return section;
  }

  readonly #collect = (name: string, value: string): void => {
    this.#section.add(name, value);
    if (!isAscii(value)) {
      this.#foreign ??= [];
      this.#foreign.push(name);
    }
  };
}

/** The head of a request; the address is asked for when it is read. */
export class UwsRequestHead implements RequestHead {
  readonly headers: RequestHead['headers'];
  readonly repeated: RequestHead['repeated'];
  principal = ANONYMOUS;

  constructor(
    readonly method: string,
    readonly path: string,
    readonly query: string,
    section: FieldSection,
    private readonly reply: UwsReply,
  ) {
    this.headers = section.headers;
    this.repeated = section.repeated;
  }

  get remoteAddress(): string {
    return this.reply.remoteAddress;
  }
}

const NOT_ASCII = /[^\x00-\x7f]/;

function isAscii(text: string): boolean {
  return !NOT_ASCII.test(text);
}
