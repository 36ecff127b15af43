/** Options of `sluice data-plane`, by their flags or the variables beginning with SLUICE_NODE_. */
export interface NodeFlags {
  /** `host:port` of each. */
  readonly controlPlane: readonly string[];
  readonly node: string;
  readonly region: string;
  readonly tokenFile?: string;
  readonly tls?: true;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly nats?: readonly string[];
  readonly natsCredentials?: string;
  readonly natsCa?: string;
  readonly natsCert?: string;
  readonly natsKey?: string;
  readonly natsReplicas: number;
  readonly cluster: string;
  readonly redis?: string;
  readonly keyFile?: string;
  readonly stateDir?: string;
  readonly host: string;
  readonly port: number;
  readonly workers: number;
  readonly listener: 'auto' | 'uws' | 'node';
  readonly listenCert?: string;
  readonly listenKey?: string;
  readonly insecure?: true;
  readonly logLevel?: string;
  readonly logFormat?: 'json' | 'text';
}
