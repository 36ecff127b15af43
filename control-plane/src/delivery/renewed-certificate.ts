/** A certificate for grpc-js that is another one from some moment on; connections that are open keep theirs. */
import type { experimental } from '@grpc/grpc-js';

export interface NodeTls {
  /** PEM texts. */
  readonly cert: Buffer;
  readonly key: Buffer;
  /** The authority of nodes' certificates; each has to show one of it. */
  readonly clientCa?: Buffer | undefined;
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

export class RenewedCertificate implements experimental.CertificateProvider {
  private readonly caListeners = new Set<CaListener>();
  private readonly identityListeners = new Set<IdentityListener>();

  constructor(private tls: NodeTls) {}

  renew(tls: NodeTls): void {
    this.tls = tls;
    for (const listener of this.caListeners) this.tellCa(listener);
    for (const listener of this.identityListeners) this.tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.caListeners.add(listener);
    // The server that asks is told of what comes after this call.
    queueMicrotask(() => this.tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.identityListeners.add(listener);
    queueMicrotask(() => this.tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.identityListeners.delete(listener);
  }

  private tellCa(listener: CaListener): void {
    const { clientCa } = this.tls;
    listener(clientCa === undefined ? null : { caCertificate: clientCa });
  }

  private tellIdentity(listener: IdentityListener): void {
    const { cert, key } = this.tls;
    listener({ certificate: cert, privateKey: key });
  }
}
