import { lookup } from 'node:dns/promises';
import { connect as connectSocket, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext } from 'node:tls';
import type { EgressPolicy } from './egress-policy.js';
import { HttpFailure, type HttpOrigin } from './http.js';

/** Head start of one address before the next is tried beside it (RFC 8305, 5). */
const NEXT_ADDRESS_DELAY_MS = 250;
/** Silence after which the kernel asks whether the peer still lives; a stream may be silent for long. */
const KEEP_ALIVE_PROBE_DELAY_MS = 30_000;

/** IP addresses of a host name, best first. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

export interface EgressOptions {
  readonly policy: EgressPolicy;
  /** From the call until the connection can be written to: resolution, every address and TLS together. */
  readonly connectTimeoutMs: number;
  /** What certificates are checked against; must be there for `https:`. */
  readonly secureContext?: SecureContext | undefined;
  /** Where names come from; default: the system's resolver. */
  readonly resolve?: Resolve | undefined;
  /** Reads of a plain connection go into this buffer. TLS connections emit `data` instead. */
  readonly onread?: OnReadOpts | undefined;
}

/** Exactly one of the two is called, never before `connectEgress` has returned; none after `cancel`. */
export interface EgressListener {
  connected(socket: Socket): void;
  failed(failure: HttpFailure): void;
}

export interface EgressAttempt {
  cancel(): void;
}

/**
 * Opens a connection to an origin: the one way out of the gateway. A name is resolved once, every address is
 * judged by the policy, and only the judged addresses are connected to, so that a second, different answer of
 * the name server has no effect. Certificates are verified against the name.
 */
export function connectEgress(
  origin: HttpOrigin,
  options: EgressOptions,
  listener: EgressListener,
): EgressAttempt {
  return new Attempt(origin, options, listener);
}

async function resolveWithSystem(hostname: string): Promise<readonly string[]> {
  const answers = await lookup(hostname, { all: true, verbatim: true });
  return answers.map((answer) => answer.address);
}

class Attempt implements EgressAttempt {
  private readonly hostname: string;
  private readonly label: string;
  private readonly sockets = new Set<Socket>();
  private readonly reasons: string[] = [];
  private readonly timeout: NodeJS.Timeout;
  private nextAddress: NodeJS.Timeout | undefined;
  private addresses: string[] = [];
  private settled = false;

  constructor(
    private readonly origin: HttpOrigin,
    private readonly options: EgressOptions,
    private readonly listener: EgressListener,
  ) {
    // `URL.hostname` writes an IPv6 address in brackets.
    this.hostname = origin.hostname.replace(/^\[(.*)\]$/, '$1');
    this.label = origin.protocol === 'unix:' ? `${origin.socketPath}` : `${origin.hostname}:${origin.port}`;
    this.timeout = setTimeout(() => {
      const seen = this.reasons.length > 0 ? `; so far: ${this.reasons.join(', ')}` : '';
      this.fail('connect', `no connection to ${this.label} within ${options.connectTimeoutMs} ms${seen}`);
    }, options.connectTimeoutMs);
    void this.start();
  }

  cancel(): void {
    this.settle();
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  private async start(): Promise<void> {
    try {
      // Whatever is already known takes the same path as what has to be asked for: never synchronous.
      const found = await this.findAddresses();
      if (!this.settled) this.dialPermitted(found);
    } catch (error) {
      this.fail('connect', `cannot connect to ${this.label}: ${reasonOf(error)}`, error);
    }
  }

  /** An empty list stands for the Unix socket. */
  private async findAddresses(): Promise<readonly string[]> {
    if (this.origin.protocol === 'unix:') return [];
    if (isIP(this.hostname) !== 0) return [this.hostname];
    const found = await (this.options.resolve ?? resolveWithSystem)(this.hostname);
    if (found.length === 0) throw new Error('the host name has no address');
    return found;
  }

  private dialPermitted(found: readonly string[]): void {
    if (this.origin.protocol === 'unix:') {
      this.dial(undefined);
      return;
    }
    this.addresses = found.filter((address) => this.options.policy.permits(address));
    if (this.addresses.length > 0) {
      this.dialNext();
      return;
    }
    this.fail(
      'refused',
      `${this.label} is at ${found.join(', ')}, which the egress rules deny; ` +
        'if the gateway may connect there, add the address to egress.allow',
    );
  }

  private dialNext(): void {
    clearTimeout(this.nextAddress);
    const address = this.addresses.shift();
    if (address === undefined) {
      if (this.sockets.size === 0) {
        this.fail('connect', `cannot connect to ${this.label}: ${this.reasons.join(', ')}`);
      }
      return;
    }
    if (this.addresses.length > 0) {
      this.nextAddress = setTimeout(() => this.dialNext(), NEXT_ADDRESS_DELAY_MS);
    }
    this.dial(address);
  }

  /** Connects to one address, or to the Unix socket when there is none. */
  private dial(address: string | undefined): void {
    // With TLS the encrypted bytes belong to the TLS layer.
    const onread = this.origin.protocol === 'https:' ? undefined : this.options.onread;
    const socket = connectSocket({
      ...(address === undefined
        ? { path: this.origin.socketPath ?? '' }
        : { host: address, port: this.origin.port }),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_DELAY_MS,
      ...(onread === undefined ? {} : { onread }),
    });
    this.sockets.add(socket);
    const failed = (error: Error): void => {
      this.sockets.delete(socket);
      this.reasons.push(address === undefined ? reasonOf(error) : `${reasonOf(error)} (${address})`);
      if (!this.settled) this.dialNext();
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      this.sockets.delete(socket);
      this.takeFirst(socket);
    });
  }

  /** The first address that answers is the one; a certificate that does not verify is no reason to try others. */
  private takeFirst(socket: Socket): void {
    clearTimeout(this.nextAddress);
    for (const other of this.sockets) other.destroy();
    this.sockets.clear();
    this.addresses = [];
    if (this.origin.protocol === 'https:') this.secure(socket);
    else this.succeed(socket);
  }

  private secure(socket: Socket): void {
    const secured = connectTls({
      socket,
      host: this.hostname,
      // SNI carries names only (RFC 6066, 3); an address is still checked against the certificate.
      ...(isIP(this.hostname) === 0 ? { servername: this.hostname } : {}),
      ...(this.options.secureContext === undefined ? {} : { secureContext: this.options.secureContext }),
      ALPNProtocols: ['http/1.1'],
      // Said aloud so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch the check off.
      rejectUnauthorized: true,
    });
    this.sockets.add(secured);
    const failed = (error: Error): void => {
      this.fail('connect', `TLS with ${this.label} failed: ${reasonOf(error)}`, error);
    };
    secured.once('error', failed);
    secured.once('secureConnect', () => {
      secured.off('error', failed);
      this.sockets.delete(secured);
      this.succeed(secured);
    });
  }

  private succeed(socket: Socket): void {
    this.settle();
    this.listener.connected(socket);
  }

  private fail(kind: 'connect' | 'refused', message: string, cause?: unknown): void {
    if (this.settled) return;
    this.cancel();
    this.listener.failed(new HttpFailure(kind, message, cause === undefined ? undefined : { cause }));
  }

  private settle(): void {
    this.settled = true;
    clearTimeout(this.timeout);
    clearTimeout(this.nextAddress);
  }
}

const TRUST_HINT = 'to trust it, start with NODE_EXTRA_CA_CERTS=FILE, a PEM file with its authority';

const REASONS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: `self-signed certificate; ${TRUST_HINT}`,
  SELF_SIGNED_CERT_IN_CHAIN: `self-signed certificate in the chain; ${TRUST_HINT}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `certificate of an unknown authority; ${TRUST_HINT}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `certificate of an unknown authority; ${TRUST_HINT}`,
  ECONNREFUSED: 'connection refused',
  // Of what is connected to, only Unix sockets have paths.
  ENOENT: 'there is no such socket',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'timed out',
  EMFILE: 'too many open files in the gateway',
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'the name server does not answer',
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  return (code === undefined ? undefined : REASONS[code]) ?? error.message;
}
