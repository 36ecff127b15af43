import { GATEWAY_DEFAULTS } from '@sluice/proto';
import { isInRanges, isLoopbackHost, rangesOf } from './addresses.js';
import { type Findings, parentPath } from './findings.js';

interface UrlForm {
  readonly schemes: readonly string[];
  /** What would be right. */
  readonly hint: string;
}

const FORMS: Readonly<Record<'http' | 'sse' | 'websocket', UrlForm>> = {
  http: {
    schemes: ['http:', 'https:', 'unix:'],
    hint: 'write the address of the MCP endpoint, for example https://mcp.example.com/mcp',
  },
  sse: {
    schemes: ['http:', 'https:'],
    hint: 'write the address of the stream, for example https://mcp.example.com/sse',
  },
  websocket: {
    schemes: ['ws:', 'wss:'],
    hint: 'write the address of the WebSocket, for example wss://mcp.example.com/mcp',
  },
};

/** Schemes under which anybody on the way can read along. */
const OPEN_SCHEMES = ['http:', 'ws:'];

/**
 * Checks the address of an upstream. Messages never show it: its query may be a secret, and so are credentials
 * that should not be there.
 *
 * @returns whether what is sent there leaves this machine without encryption
 */
export function checkUrl(
  findings: Findings,
  path: string,
  transport: keyof typeof FORMS,
  text: string,
  isRefused: (address: string) => boolean,
): boolean {
  const { schemes, hint } = FORMS[transport];
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  if (text === '') findings.error(path, 'missing', hint, [parentPath(path)]);
  else if (url === undefined || /\s/.test(text)) findings.error(path, 'not a URL', hint);
  else if (!schemes.includes(url.protocol)) {
    const names = schemes.map((scheme) => scheme.slice(0, -1)).join(', ');
    findings.error(path, `the scheme ${url.protocol.slice(0, -1)} is none of ${names}`, hint);
  } else if (url.username !== '' || url.password !== '') {
    const instead =
      'remove them from the URL and send them as a header, for example Authorization: ${MY_TOKEN}';
    findings.error(path, 'credentials in the URL', instead);
  } else if (url.hash !== '') {
    findings.error(path, 'a fragment, which is never sent to a server', 'remove `#` and what follows');
  } else if (url.protocol === 'unix:') {
    checkSocketPath(findings, path, text);
  } else if (isRefused(host)) {
    const instead = 'remove the range from gateway.egress.deny, or add the address to gateway.egress.allow';
    const message = `${host} lies in a range that gateway.egress refuses`;
    findings.error(path, message, instead, ['gateway.egress']);
  }
  return url !== undefined && OPEN_SCHEMES.includes(url.protocol) && !isLoopbackHost(host);
}

/** Linux keeps 108 bytes for the path and the NUL behind it (unix(7)). */
const MAX_SOCKET_PATH_BYTES = 107;

/** `unix:///absolute/path.sock`, and the endpoint behind a colon where it is not /mcp. */
function checkSocketPath(findings: Findings, path: string, text: string): void {
  const hint = 'write unix:///absolute/path.sock, or unix:///absolute/path.sock:/endpoint';
  const [, socketPath, endpoint] = /^unix:\/\/([^:?]*)(?::(.*))?$/i.exec(text) ?? [];
  if (socketPath === undefined || !socketPath.startsWith('/')) {
    findings.error(path, 'the path of the socket is not absolute', hint);
  } else if (socketPath === '/' || (endpoint !== undefined && !endpoint.startsWith('/'))) {
    findings.error(path, 'not the address of a Unix socket', hint);
  } else if (Buffer.byteLength(socketPath) > MAX_SOCKET_PATH_BYTES) {
    const message = `the path of the socket is longer than ${MAX_SOCKET_PATH_BYTES} bytes`;
    findings.error(path, message, 'no system can listen on such a path: choose a shorter one');
  }
}

/** Whether an address that stands in a URL lies in a range that the gateway may not connect to. */
export function egressCheck(
  egress: { deny: string[]; allow: string[] } | undefined,
): (address: string) => boolean {
  const denied = rangesOf(egress?.deny.length ? egress.deny : GATEWAY_DEFAULTS['egress.deny']);
  const allowed = rangesOf(egress?.allow ?? []);
  return (address) => isInRanges(denied, address) && !isInRanges(allowed, address);
}
