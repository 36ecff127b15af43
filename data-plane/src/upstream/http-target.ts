import type { HttpClient } from './transport/http.js';

/** An upstream over streamable HTTP, whatever its era. */
export interface HttpTarget {
  /** Of the upstream, for messages. */
  readonly name: string;
  readonly client: HttpClient;
  /** With the query, where there is one. */
  readonly path: string;
  /** Header lines of the configuration, each ended by CRLF. */
  readonly headerLines: string;
  /** Silence after which a request is given up. */
  readonly timeoutMs: number;
  readonly maxMessageBytes: number;
}
