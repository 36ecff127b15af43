/** The admin API over HTTP/1.1 with JSON. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Message } from '@bufbuild/protobuf';
import type { Access } from '../access/access.js';
import { AdminError } from '../admin-error.js';
import type { BoundMethod } from '../bound-method.js';
import {
  HEADER_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  LATENESS_CHECK_INTERVAL_MS,
  MAX_HEADER_BYTES,
  REQUEST_TIMEOUT_MS,
} from '../limits.js';
import { REASONS, type Reason } from '../reasons.js';
import { bodyOf } from './body.js';
import { problemJson } from './problem-json.js';
import { entityTag, requestMessage } from './request-message.js';
import { responseJson } from './response-json.js';
import { Routes } from './routes.js';

const OPENAPI_PATH = '/api/v1/openapi.json';

/** How it reads, for the server that has the address. */
export const REST_LIMITS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADER_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: LATENESS_CHECK_INTERVAL_MS,
  requireHostHeader: true,
};

/** Answers requests. */
export function restListener(
  methods: readonly BoundMethod[],
  access: Access,
  onFailure: (error: AdminError) => void,
): RequestListener {
  const routes = new Routes(methods);
  const openApi = readFileSync(new URL('../../../gen/openapi.json', import.meta.url));
  return (request, response) =>
    void answer(request, response).catch((thrown: unknown) => {
      const error = AdminError.of(thrown);
      onFailure(error);
      sendProblem(request, response, error);
    });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = targetOf(request);
    if (url.pathname === OPENAPI_PATH && request.method === 'GET')
      return send(response, 200, openApi, { 'Content-Type': 'application/json' });
    // Nobody learns which paths there are, nor has a body read, before it is known who asks.
    const caller = await access.authenticate(credentialsOf(request));
    const route = routes.find(request.method ?? '', url.pathname);
    const { headers } = request;
    const message = requestMessage(route, {
      query: url.searchParams,
      body: await bodyOf(request),
      ifMatch: headers['if-match'],
      ifNoneMatch: request.method === 'GET' ? undefined : headers['if-none-match'],
      idempotencyKey: header(headers['idempotency-key']),
    });
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const result = await route.method.run(message, { caller, signal: gone.signal });
    const { output } = route.method.description;
    const etag = etagOf(result);
    const known = headers['if-none-match'];
    if (
      request.method === 'GET' &&
      etag !== '' &&
      known !== undefined &&
      entityTag('If-None-Match', known) === etag
    )
      return send(response, 304, undefined, { ETag: `"${etag}"` });
    send(response, 200, Buffer.from(responseJson(output, result)), {
      'Content-Type': 'application/json',
      ...(etag !== '' && { ETag: `"${etag}"` }),
    });
  }
}

function targetOf({ url = '' }: IncomingMessage): URL {
  if (url.startsWith('/') && !url.startsWith('//') && URL.canParse(url, 'http://admin'))
    return new URL(url, 'http://admin');
  throw new AdminError('INVALID_REQUEST', 'the request target has to be a path');
}

function credentialsOf({ headers, socket }: IncomingMessage) {
  const isVerified = socket instanceof TLSSocket && socket.authorized;
  const certificate = isVerified ? socket.getPeerCertificate() : undefined;
  return {
    authorization: headers.authorization,
    certificate: certificate !== undefined && 'subject' in certificate ? certificate : undefined,
  };
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

function etagOf(message: Message): string {
  return 'etag' in message && typeof message.etag === 'string' ? message.etag : '';
}

const EVERY_ANSWER = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

function send(
  response: ServerResponse,
  status: number,
  body: Buffer | undefined,
  headers: Readonly<Record<string, string>>,
): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    ...EVERY_ANSWER,
    ...headers,
    ...(body && { 'Content-Length': String(body.byteLength) }),
  });
  response.end(body);
}

function sendProblem(request: IncomingMessage, response: ServerResponse, error: AdminError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { reason, details } = error;
  // What is left of a body that nobody reads would be taken for the next request.
  const isWhole = request.complete;
  send(response, REASONS[reason].httpStatus, Buffer.from(problemJson(error)), {
    'Content-Type': 'application/problem+json',
    ...(reason === 'UNAUTHENTICATED' && { 'WWW-Authenticate': 'Bearer' }),
    ...(reason === 'METHOD_NOT_ALLOWED' && { Allow: details.metadata?.allow ?? '' }),
    ...(reason === 'STORE_UNAVAILABLE' && { 'Retry-After': '1' }),
    ...(!isWhole && { Connection: 'close' }),
  });
}

const REASON_OF_CODE: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

/** What is no HTTP is answered all the same, as far as the connection still takes it. */
export function refuseBytes({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const reason = REASON_OF_CODE[code] ?? 'INVALID_REQUEST';
  const { httpStatus, title } = REASONS[reason];
  const body = problemJson(new AdminError(reason, title.charAt(0).toLowerCase() + title.slice(1)));
  socket.end(
    `HTTP/1.1 ${httpStatus} ${reason}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
