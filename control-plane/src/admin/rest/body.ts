import type { IncomingMessage } from 'node:http';
import type { JsonValue } from '@bufbuild/protobuf';
import { AdminError } from '../admin-error.js';
import { MAX_BODY_BYTES } from '../limits.js';
import { jsonFault } from './json-fault.js';

/** @throws AdminError for a body that is too large, not whole, or no JSON */
export async function bodyOf(request: IncomingMessage): Promise<JsonValue | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const bytes = await bytesOf(request);
  if (bytes.byteLength === 0) return undefined;
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type))
    throw new AdminError(
      'UNSUPPORTED_MEDIA_TYPE',
      'send the body as JSON, with `Content-Type: application/json`',
    );
  const text = decoded(bytes);
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    // What JSON.parse says may show a piece of the body, which may be a secret.
    const { line, column } = jsonFault(text) ?? { line: 1, column: 1 };
    throw new AdminError('INVALID_REQUEST', `the body is no JSON from line ${line}, column ${column} on`);
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // Whoever sends too much is to be told so, for which the connection has to stay.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += (chunk as Buffer).byteLength;
      if (size > MAX_BODY_BYTES) throw tooLarge();
      chunks.push(chunk as Buffer);
    }
  } catch (thrown) {
    if (thrown instanceof AdminError) throw thrown;
    throw new AdminError('CANCELLED', 'the connection ended before the body did', { cause: thrown });
  }
  return Buffer.concat(chunks);
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AdminError('INVALID_REQUEST', 'the body is not in UTF-8');
  }
}

function tooLarge(): AdminError {
  return new AdminError('TOO_LARGE', `the body has more than ${MAX_BODY_BYTES} bytes`);
}
