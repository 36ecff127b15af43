/** HTTP requests of plugins, through the one egress of the gateway. */
import type { FetchAnswer, FetchOptions } from '@sluice/sdk';
import type { EgressPolicy } from '../upstream/transport/egress-policy.js';
import type { HttpFailure, HttpOrigin } from '../upstream/transport/http.js';
import { createHttpClient } from '../upstream/transport/http1-client.js';

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_BYTES = 1024 * 1024;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;

/** Rejects when there is no whole answer in time, when it is too long, or when the egress rules deny the address. */
export function fetchThroughEgress(
  policy: EgressPolicy,
  url: string,
  {
    method = 'GET',
    headers = {},
    body = '',
    timeoutMs = DEFAULT_TIMEOUT_MS,
    maxBytes = DEFAULT_MAX_BYTES,
  }: FetchOptions = {},
): Promise<FetchAnswer> {
  const { origin, path } = placeOf(url);
  const client = createHttpClient(origin, { maxConnectionCount: 1, connectTimeoutMs: timeoutMs, policy });
  return new Promise<FetchAnswer>((resolve, reject) => {
    let status = 0;
    let answered: FetchAnswer['headers'] = {};
    let length = 0;
    const chunks: Buffer[] = [];
    const fail = (reason: string) => {
      clearTimeout(timer);
      call.abort();
      reject(new Error(`${url}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no whole answer within ${timeoutMs} ms`), timeoutMs);
    const call = client.send(
      {
        method,
        path,
        headerLines: headerLines(headers),
        body: Buffer.from(body).latin1Slice(),
        silenceTimeoutMs: timeoutMs,
        repeatable: false,
      },
      {
        head: (code, fields) => {
          status = code;
          answered = fields;
        },
        data: (chunk) => {
          length += chunk.byteLength;
          // The bytes are valid only during the call.
          if (length <= maxBytes) chunks.push(Buffer.from(chunk));
          else fail(`the answer is longer than ${maxBytes} bytes`);
        },
        end: () => {
          clearTimeout(timer);
          resolve({ status, headers: answered, text: Buffer.concat(chunks).toString() });
        },
        error: (failure: HttpFailure) => {
          clearTimeout(timer);
          reject(new Error(`${url}: ${failure.message}`, { cause: failure }));
        },
      },
    );
  }).finally(() => client.close());
}

function placeOf(text: string): { origin: HttpOrigin; path: string } {
  const { protocol, hostname, port, pathname, search } = new URL(text);
  if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`${text} is neither http nor https`);
  const standard = protocol === 'https:' ? 443 : 80;
  return {
    origin: { protocol, hostname, port: port === '' ? standard : Number(port) },
    path: pathname + search,
  };
}

function headerLines(headers: Readonly<Record<string, string>>): string {
  let lines = '';
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name) || !VALUE.test(value))
      throw new TypeError(`${name} is no header field that can be sent`);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}
