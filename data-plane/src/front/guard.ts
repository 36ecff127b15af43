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

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]', '::1'];

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
  private lastHost = '';

  constructor({ host, allowedHosts, allowedOrigins }: GuardOptions) {
    this.loopback = isLoopback(host);
    this.hosts = new Set([
      ...LOOPBACK_NAMES,
      host.toLowerCase(),
      ...allowedHosts.map((each) => each.toLowerCase()),
    ]);
    this.origins = new Set(allowedOrigins.map((each) => each.toLowerCase().replace(/\/$/, '')));
    // Beyond loopback a rebound name gains nothing that the address would not give; there a list is the operator's choice.
    this.anyHost = allowedHosts.includes('*') || (!this.loopback && allowedHosts.length === 0);
    this.anyOrigin = allowedOrigins.includes('*');
  }

  /** What is wrong with a request's Host or Origin; undefined when it may pass. */
  refusal({ headers }: RequestHead): string | undefined {
    const { host, origin } = headers;
    if (!this.anyHost && host !== this.lastHost) {
      if (host === undefined || !this.hosts.has(nameOf(host))) {
        return `the Host ${JSON.stringify((host ?? '').slice(0, 100))} is not served here; add it to gateway.listen.allowed_hosts`;
      }
      this.lastHost = host;
    }
    if (origin === undefined || this.anyOrigin || this.origins.has(origin.toLowerCase())) return undefined;
    if (this.loopback && isLoopbackOrigin(origin)) return undefined;
    return `the Origin ${JSON.stringify(origin.slice(0, 100))} is not allowed here; add it to gateway.listen.allowed_origins`;
  }
}

/** The name in a Host field, without its port. */
function nameOf(host: string): string {
  const folded = host.toLowerCase();
  if (folded.startsWith('[')) return folded.slice(0, folded.indexOf(']') + 1);
  const colon = folded.indexOf(':');
  return colon === -1 ? folded : folded.slice(0, colon);
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
