/** Options of `sluice control-plane`, by their flags or the variables beginning with SLUICE_CP_. */
export interface ControlPlaneFlags {
  readonly cluster: string;
  readonly store: 'embedded' | 'etcd';
  readonly stateDir: string;
  /** URLs of the members. */
  readonly etcd?: readonly string[];
  readonly etcdUser?: string;
  readonly etcdPasswordFile?: string;
  readonly etcdCa?: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
  readonly keepRevisions: number;
  readonly listen: Place;
  readonly listenCert?: string;
  readonly listenKey?: string;
  readonly listenClientCa?: string;
  readonly nodeTokensFile?: string;
  readonly adminListen: Place;
  readonly adminCert?: string;
  readonly adminKey?: string;
  readonly adminClientCa?: string;
  readonly adminTokensFile?: string;
  readonly oidcIssuer?: string;
  readonly oidcAudience?: string;
  readonly oidcRoleClaim: string;
  readonly oidcNameClaim: string;
  readonly oidcTenantsClaim?: string;
  readonly oidcAdmins?: readonly string[];
  readonly oidcOperators?: readonly string[];
  readonly oidcViewers?: readonly string[];
  readonly nats?: readonly string[];
  readonly natsCredentials?: string;
  readonly natsCa?: string;
  readonly healthListen: Place;
  readonly insecure?: true;
  readonly logLevel?: string;
  readonly logFormat?: 'json' | 'text';
}

/** Where to listen. */
export interface Place {
  readonly host: string;
  readonly port: number;
}
