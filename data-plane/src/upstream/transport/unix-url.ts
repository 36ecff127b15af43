import type { HttpOrigin } from './http.js';

/** The path of the socket as it is written, then the endpoint after a colon. */
const UNIX_URL = /^unix:\/\/(\/[^:]*)(?::(\/.*))?$/i;
const DEFAULT_ENDPOINT = '/mcp';

/**
 * Where HTTP over a Unix socket goes: `unix:///run/server.sock`, or `unix:///run/server.sock:/endpoint` where the
 * endpoint is not /mcp. Undefined for every other address.
 */
export function parseUnixUrl(url: string): { origin: HttpOrigin; path: string } | undefined {
  const [, socketPath, path = DEFAULT_ENDPOINT] = UNIX_URL.exec(url) ?? [];
  if (socketPath === undefined) return undefined;
  return { origin: { protocol: 'unix:', hostname: 'localhost', port: 0, socketPath }, path };
}
