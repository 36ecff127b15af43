/**
 * Who may come in by which name: the Host and Origin of every request on every door, so that a page in a browser
 * cannot reach a gateway on loopback by rebinding a name (2026-07-28, streamable HTTP, "Security & Endpoint").
 */
import type { RequestHead } from '../listener/listener.js';

export interface GuardOptions {
  /** The address that is listened on. */
  readonly host: string;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];

/** True for addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

export class Guard {
  private readonly hosts: ReadonlySet<string>;
  private readonly origins: ReadonlySet<string>;
  private readonly anyHost: boolean;
  private readonly anyOrigin: boolean;
  private readonly loopback: boolean;
  // Clients send the same few values again and again.
  private lastHost: string | undefined;

  constructor({ host, allowedHosts, allowedOrigins }: GuardOptions) {
    this.loopback = isLoopback(host);
    // An IPv6 address is configured without the brackets that it has in a Host field.
    const configured = [host, ...allowedHosts].map((each) => nameOf(each) ?? `[${each.toLowerCase()}]`);
    this.hosts = new Set([...LOOPBACK_NAMES, ...configured]);
    this.origins = new Set(allowedOrigins.map((each) => each.toLowerCase().replace(/\/$/, '')));
    // Beyond loopback a rebound name gains nothing that the address would not give; there a list is the operator's choice.
    this.anyHost = allowedHosts.includes('*') || (!this.loopback && allowedHosts.length === 0);
    this.anyOrigin = allowedOrigins.includes('*');
  }

  /** What is wrong with a request's Host or Origin; undefined when it may pass. */
  refusal({ headers }: RequestHead): string | undefined {
    const { host = '', origin } = headers;
    if (!this.anyHost && host !== this.lastHost) {
      const name = nameOf(host);
      if (name === undefined || !this.hosts.has(name)) {
        return `the Host ${JSON.stringify(host.slice(0, 100))} is not served here; add it to gateway.listen.allowed_hosts`;
      }
      this.lastHost = host;
    }
    if (origin === undefined || this.anyOrigin || this.origins.has(origin.toLowerCase())) return undefined;
    if (this.loopback && isLoopbackOrigin(origin)) return undefined;
    return `the Origin ${JSON.stringify(origin.slice(0, 100))} is not allowed here; add it to gateway.listen.allowed_origins`;
  }
}

/**
 * The guard of an address for operators, which pages of other sites have no business with.
 *
 * @param allowedHosts as they are now: they may change while the gateway runs
 */
export function operatorsGuard(
  host: string,
  allowedHosts: () => readonly string[],
): (head: RequestHead) => string | undefined {
  const make = (allowed: readonly string[]) => new Guard({ host, allowedHosts: allowed, allowedOrigins: [] });
  let allowed = allowedHosts();
  let guard = make(allowed);
  return (head) => {
    if (allowed !== allowedHosts()) {
      allowed = allowedHosts();
      guard = make(allowed);
    }
    return guard.refusal(head);
  };
}

/** Name or bracketed address, and a port (RFC 9110 section 7.2). */
const HOST = /^(\[[0-9a-f:.]+\]|[^:@[\]]+)(?::\d{0,5})?$/;

/** The name in a Host field, without its port; undefined when it is none. */
function nameOf(host: string): string | undefined {
  return HOST.exec(host.toLowerCase())?.[1];
}

function isLoopbackOrigin(origin: string): boolean {
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    return false;
  }
  return (url.protocol === 'http:' || url.protocol === 'https:') && isLoopback(url.hostname);
}
