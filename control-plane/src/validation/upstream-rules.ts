import {
  type Configuration,
  Era,
  GATEWAY_DEFAULTS,
  type Gateway,
  type Listen,
  type StdioTransport,
  UPSTREAM_SETTINGS,
  type Upstream,
} from '@sluice/proto';
import { isLoopbackHost } from './addresses.js';
import { type Findings, parentPath } from './findings.js';
import { checkRanges } from './ranges.js';
import { checkUrl, egressCheck } from './url-rules.js';

/** Rules for the upstreams, each by itself and among the others. */
export function checkUpstreams(findings: Findings, configuration: Configuration): void {
  const { gateway, upstreams } = configuration;
  if (upstreams.every(({ disabled }) => disabled)) {
    findings.warn('upstreams', 'no upstream is served', 'name at least one MCP server under `upstreams`');
  }
  const around = aroundUpstreams(gateway);
  const names = new Map<string, number>();
  const ids = new Map<string, number>();
  upstreams.forEach((upstream, index) => {
    const path = `upstreams[${index}]`;
    checkUpstreamItself(findings, path, upstream, around);
    checkUnique(findings, `${path}.name`, 'name', upstream.name, names, index);
    // Without an id of its own, a second upstream of the same name has been reported already.
    if (upstream.id !== '' || names.get(upstream.name) === index) {
      checkUnique(findings, `${path}.id`, 'id', upstream.id || upstream.name, ids, index);
    }
  });
}

/** What of the gateway's settings rules for an upstream depend on. */
export interface AroundUpstreams {
  readonly separator: string;
  /** Whether the gateway may not connect to an address. */
  readonly isRefused: (address: string) => boolean;
  readonly listen: Listen | undefined;
}

export function aroundUpstreams(gateway: Gateway | undefined): AroundUpstreams {
  return {
    separator: gateway?.naming?.separator || GATEWAY_DEFAULTS['naming.separator'],
    isRefused: egressCheck(gateway?.egress),
    listen: gateway?.listen,
  };
}

/** What is wrong with an upstream whatever others there are. */
export function checkUpstreamItself(
  findings: Findings,
  path: string,
  upstream: Upstream,
  { separator, isRefused, listen }: AroundUpstreams,
): void {
  checkName(findings, `${path}.name`, upstream.name, separator);
  checkId(findings, `${path}.id`, upstream.id);
  checkRanges(findings, upstream, path, UPSTREAM_SETTINGS);
  checkTransport(findings, path, upstream, isRefused);
  checkIsAnother(findings, path, upstream, listen);
}

/** Names that stand under /mcp as endpoints of their own. */
const RESERVED_NAMES = ['search', 'execute', 'tools', 'servers'];

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/;

function checkName(findings: Findings, path: string, name: string, separator: string): void {
  const hint = 'write 1 to 40 letters, digits, _ or -, beginning with a letter or digit';
  if (name === '') {
    findings.error(path, 'missing', hint, [parentPath(path)]);
  } else if (!NAME.test(name)) {
    findings.error(path, 'not a name that paths and tool names can carry', hint);
  } else if (RESERVED_NAMES.includes(name)) {
    const message = `${name} is reserved: /mcp/${name} is an endpoint of the gateway`;
    findings.error(path, message, 'choose another name');
  } else if (`${name}${separator}`.indexOf(separator) < name.length) {
    // Then two upstreams could give one name: `a` with the tool `b__c`, and `a__b` with the tool `c`.
    const message = `${name} followed by the separator ${separator} can be read in two ways`;
    const another = 'choose a name that neither holds nor ends like the separator, or another separator';
    findings.error(path, message, another, ['gateway.naming.separator']);
  }
}

function checkUnique(
  findings: Findings,
  path: string,
  what: string,
  value: string,
  seen: Map<string, number>,
  index: number,
): void {
  const first = seen.get(value);
  if (value === '') return;
  if (first === undefined) seen.set(value, index);
  else
    findings.error(
      path,
      `upstreams[${first}] has the same ${what}`,
      `give each upstream a ${what} of its own`,
    );
}

const MAX_ID_LENGTH = 200;

function checkId(findings: Findings, path: string, id: string): void {
  if (id.length <= MAX_ID_LENGTH && !/\p{Cc}/u.test(id)) return;
  const hint = `write at most ${MAX_ID_LENGTH} characters without control characters`;
  findings.error(path, 'not usable as an id', hint);
}

function checkTransport(
  findings: Findings,
  path: string,
  { transport, disabled, era }: Upstream,
  isRefused: (address: string) => boolean,
): void {
  if (transport.case === 'stdio') {
    checkStdio(findings, `${path}.stdio`, transport.value);
  } else if (transport.case !== undefined) {
    const { url, headers } = transport.value;
    const isOpen = checkUrl(findings, `${path}.${transport.case}.url`, transport.case, url, isRefused);
    checkHeaders(findings, `${path}.${transport.case}.headers`, headers, isOpen);
  } else if (!disabled) {
    const hint = 'give a `url` for a server with an address, or a `command` for a subprocess';
    findings.error(path, 'nothing says how it is reached', hint);
  }
  if (transport.case === 'sse' && era === Era.MODERN) {
    const hint = 'leave out era, or use the streamable HTTP endpoint of the server with `url`';
    findings.error(`${path}.era`, 'no server speaks the modern era over HTTP+SSE', hint);
  }
}

/** Whoever moves the servers of a client behind the gateway easily moves the gateway too. */
function checkIsAnother(
  findings: Findings,
  path: string,
  { transport, disabled }: Upstream,
  listen: Listen | undefined,
): void {
  if (disabled || transport.case === undefined || transport.case === 'stdio') return;
  const { url: text } = transport.value;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  const ownHost = listen?.host || GATEWAY_DEFAULTS['listen.host'];
  const ownPort = listen?.port ?? GATEWAY_DEFAULTS['listen.port'];
  const isOwnHost = host === ownHost || (isLoopbackHost(host) && isLoopbackHost(ownHost));
  if (!isOwnHost || url?.port !== String(ownPort)) return;
  const message = 'the address of this gateway, which would ask itself';
  const hint = 'remove this server, or let the gateway listen on another port';
  findings.warn(`${path}.${transport.case}.url`, message, hint, ['gateway.listen.port']);
}

/** A token and field content of RFC 9110 section 5.6.2 and 5.5. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that the gateway writes by itself; a second one would contradict it. */
const OWN_HEADERS = new Set([
  'accept',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Names are shown, values never. */
function checkHeaders(
  findings: Findings,
  path: string,
  headers: Readonly<Record<string, string>>,
  isOpen: boolean,
): void {
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (!HEADER_NAME.test(name)) {
      findings.error(path, `${JSON.stringify(name)} is not a header name`, 'write letters, digits and -');
      continue;
    }
    const headerPath = `${path}.${name}`;
    if (OWN_HEADERS.has(lower)) {
      findings.error(headerPath, 'the gateway sets this header itself', 'remove it');
    }
    if (seen.has(lower)) findings.error(headerPath, 'given twice in different case', 'keep one of the two');
    if (!HEADER_VALUE.test(value) || value.trim() !== value) {
      const hint =
        'write one line of Latin characters without blanks around it; a secret read from a file often ends in a line break';
      findings.error(headerPath, 'a value that no header can have', hint);
    }
    if (lower === 'authorization' && isOpen) {
      findings.warn(headerPath, 'sent without encryption', 'use https for this upstream');
    }
    seen.add(lower);
  }
}

function checkStdio(findings: Findings, path: string, { command, args, env, cwd }: StdioTransport): void {
  const hint = 'write the program and give its arguments as `args`, for example command: npx';
  if (command.trim() === '') findings.error(`${path}.command`, 'missing', hint, [path]);
  const texts: [string, string][] = [
    [`${path}.command`, command],
    [`${path}.cwd`, cwd],
    ...args.map((arg, index): [string, string] => [`${path}.args[${index}]`, arg]),
    ...Object.entries(env).map(([name, value]): [string, string] => [`${path}.env.${name}`, value]),
  ];
  for (const [textPath, text] of texts) {
    if (text.includes('\0'))
      findings.error(textPath, 'holds a NUL character', 'remove it: no program can be given one');
  }
  for (const name of Object.keys(env)) {
    if (name !== '' && !/[=\0]/.test(name)) continue;
    const message = `${JSON.stringify(name)} is not a name of a variable`;
    findings.error(`${path}.env`, message, 'write a name without = in it');
  }
}
