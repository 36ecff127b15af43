/** An HTTP request as plugins see it before it is known who calls. */
import type { Arrival } from '@sluice/sdk/engine';
import type { RequestHead } from '../listener/listener.js';

const NONE: readonly string[] = [];

export class HttpArrival implements Arrival {
  constructor(
    private readonly head: RequestHead,
    readonly endpoint: string,
    readonly transport: Arrival['transport'],
    private readonly isTls: boolean,
    /** Read while the connection is there for certain; empty where no plugin reads it. */
    readonly address: string,
  ) {}

  get httpMethod(): string {
    return this.head.method;
  }

  get headers(): Arrival['headers'] {
    return this.head.headers;
  }

  get repeatedHeaders(): readonly string[] {
    return this.head.repeated ?? NONE;
  }

  get origin(): string {
    return originOf(this.head, this.isTls);
  }
}

/** Scheme and authority by which a client calls the gateway; the guard has looked at the Host. */
export function originOf({ headers }: RequestHead, isTls: boolean): string {
  return `${isTls ? 'https' : 'http'}://${headers.host ?? 'localhost'}`;
}
