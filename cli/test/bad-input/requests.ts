/** Requests as bytes: good ones, from which each test makes one thing wrong. */
import { MODERN, modernParams } from '../stories/raw-http.js';

export const { _meta: MODERN_META } = modernParams();

export type Fields = Readonly<Record<string, string | undefined>>;

/** A POST with a Content-Length. A field that is undefined is left out. */
export function post(path: string, fields: Fields, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body as string);
  return Buffer.concat([
    Buffer.from(head('POST', path, { 'Content-Length': String(bytes.length), ...fields }), 'latin1'),
    bytes,
  ]);
}

export function head(method: string, path: string, fields: Fields): string {
  const lines = Object.entries({ Host: '127.0.0.1', ...fields })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

const ACCEPT = 'application/json, text/event-stream';

/** Fields of a modern request. */
export function modernFields(method: string, name?: string): Fields {
  return {
    'Content-Type': 'application/json',
    Accept: ACCEPT,
    'MCP-Protocol-Version': MODERN,
    'Mcp-Method': method,
    'Mcp-Name': name,
  };
}

/** Fields of a request in a legacy session. */
export function legacyFields(session?: string, revision = '2025-11-25'): Fields {
  return {
    'Content-Type': 'application/json',
    Accept: ACCEPT,
    'MCP-Protocol-Version': revision,
    'Mcp-Session-Id': session,
  };
}

/** A call as an object. */
export function call(name: string, params: object = {}, id: unknown = 1) {
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {}, ...params } };
}

export function modernCall(name: string, params: object = {}) {
  return call(name, { ...params, _meta: MODERN_META });
}

/** A whole modern call that is good. */
export function goodCall(path: string, tool: string): Buffer {
  return post(path, modernFields('tools/call', tool), JSON.stringify(modernCall(tool)));
}

export function initialize(revision = '2025-11-25') {
  return {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: {
      protocolVersion: revision,
      capabilities: {},
      clientInfo: { name: 'bad-input', version: '1.0.0' },
    },
  };
}
