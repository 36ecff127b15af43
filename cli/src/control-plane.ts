import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AccessOptions,
  type ControlPlane,
  type ControlPlaneOptions,
  type NatsOptions,
  type NodeGrant,
  type RenewedAccess,
  readAdminAccess,
  readNodeGrants,
  StoreDamagedError,
  type StoreOptions,
  startControlPlane,
  TokenFileError,
} from '@sluice/control-plane/cluster';
import { watchConfigurationFile } from '@sluice/control-plane/watch';
import { compileCheck } from './compile-check.js';
import type { ControlPlaneFlags } from './control-plane-flags.js';
import { EXIT } from './exit-codes.js';
import {
  firstTokens,
  forgetFirstTokens,
  type MadeTokens,
  StateFolderError,
  showFirstTokens,
} from './first-tokens.js';
import type { Output } from './health.js';
import { openLog } from './log.js';
import { packageVersion } from './version.js';

const STORE_FILE = 'store.db';

/** A file or variable that was named does not hold what it has to. */
class SettingError extends Error {}

/**
 * Runs a replica of the control plane until it is told to stop.
 *
 * @returns the exit code
 */
export async function runControlPlane(flags: ControlPlaneFlags, out: Output, err: Output): Promise<number> {
  const isTerminal = process.stderr.isTTY === true;
  const { log, flush } = openLog(
    flags.logLevel ?? 'info',
    flags.logFormat ?? (isTerminal ? 'text' : 'json'),
    () => {},
  );
  let plane: ControlPlane | undefined;
  let unseen: MadeTokens | undefined;
  let endWatch = () => {};
  let isStopping = false;
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        // Whoever says it again does not want to wait.
        if (isStopping) process.exit(EXIT.unexpected);
        isStopping = true;
        log.info({ signal }, 'stopping');
        resolve();
      });
  });
  try {
    const tokens = tokenFiles(flags);
    unseen = tokens.made;
    plane = await startControlPlane(settings(flags, tokens, log));
    endWatch = followAccess(flags, tokens, plane, log);
    const served = await Promise.race([plane.serving, stopped]);
    if (served && unseen) {
      showFirstTokens(unseen, served, out);
      unseen = undefined;
    }
    await stopped;
    await plane.stop();
    log.info('stopped');
    return EXIT.ok;
  } catch (error) {
    err.write(`sluice: ${(error as Error).message}\n`);
    await plane?.stop();
    return exitCodeOf(error);
  } finally {
    endWatch();
    if (unseen) forgetFirstTokens(unseen);
    await flush();
  }
}

function exitCodeOf(error: unknown): number {
  const isSetting =
    error instanceof SettingError ||
    error instanceof StateFolderError ||
    error instanceof TokenFileError ||
    error instanceof StoreDamagedError ||
    error instanceof TypeError;
  if (isSetting) return EXIT.configuration;
  const { message } = error as Error;
  return /EADDRINUSE|EACCES|EADDRNOTAVAIL|ENOTFOUND|cannot listen/.test(message)
    ? EXIT.address
    : EXIT.unexpected;
}

/** What was asked for, with everything read that a file or a variable holds. */
function settings(
  flags: ControlPlaneFlags,
  tokens: TokenFiles,
  log: ControlPlaneOptions['log'],
): ControlPlaneOptions {
  const { listen, adminListen } = flags;
  const { nodes, admin } = accessOf(flags, tokens);
  return {
    cluster: flags.cluster,
    store: storeOptions(flags),
    keepRevisionsCount: flags.keepRevisions,
    nodes: { ...listen, ...nodes },
    admin: { ...adminListen, ...admin, insecure: flags.insecure },
    compile: compileCheck(),
    doors: flags.healthListen,
    nats: natsOptions(flags),
    log,
    version: packageVersion(),
  };
}

type TokenFiles = Pick<ReturnType<typeof tokenFiles>, 'nodeTokensFile' | 'adminTokensFile'>;

/** Who may come in, and by which certificates, as the files say now. */
function accessOf(flags: ControlPlaneFlags, { nodeTokensFile, adminTokensFile }: TokenFiles): RenewedAccess {
  return {
    nodes: {
      tls: nodeTls(flags),
      grants: nodeTokensFile === undefined ? BY_CERTIFICATE : readNodeGrants(nodeTokensFile),
    },
    admin: {
      tls: adminTls(flags),
      access: { ...(adminTokensFile !== undefined && readAdminAccess(adminTokensFile)), ...oidc(flags) },
    },
  };
}

/**
 * Reads certificates and tokens again whenever one of their files changes. A certificate and its key change one after the
 * other, so the first change may be refused; the second is then taken.
 *
 * @returns ends the watching
 */
function followAccess(
  flags: ControlPlaneFlags,
  tokens: TokenFiles,
  plane: ControlPlane,
  log: ControlPlaneOptions['log'],
): () => void {
  const { listenCert, listenKey, listenClientCa, adminCert, adminKey, adminClientCa } = flags;
  const files = [listenCert, listenKey, listenClientCa, adminCert, adminKey, adminClientCa];
  const watched = [tokens.nodeTokensFile, tokens.adminTokensFile, ...files].filter(
    (file) => file !== undefined,
  );
  const renew = (file: string) => {
    try {
      plane.renew(accessOf(flags, tokens));
      log.info({ file }, `${file} was read again`);
    } catch (error) {
      const reason = (error as Error).message;
      log.warn({ file, reason }, `${file} has changed and is not taken, what was good stays: ${reason}`);
    }
  };
  const watches = [...new Set(watched)].map((file) => watchConfigurationFile(file, () => renew(file)));
  return () => {
    for (const watch of watches) watch.close();
  };
}

/** A node of any name, which its certificate proves. */
const BY_CERTIFICATE: readonly NodeGrant[] = [{ node: '*', tokenSha256: '', region: '', tenants: [] }];

/** Those that were named; else, for the embedded store, those of the state folder, which are made at the first start. */
function tokenFiles(flags: ControlPlaneFlags) {
  const { store, stateDir, nodeTokensFile, adminTokensFile, listenClientCa, oidcIssuer } = flags;
  if (store !== 'embedded') return { made: undefined, nodeTokensFile, adminTokensFile };
  return firstTokens(stateDir, {
    nodeTokensFile,
    adminTokensFile,
    hasOtherNodes: listenClientCa !== undefined,
    hasOtherCallers: oidcIssuer !== undefined,
  });
}

function storeOptions(flags: ControlPlaneFlags): StoreOptions {
  const { store, stateDir, etcd = [], etcdUser, etcdPasswordFile, etcdCa, etcdCert, etcdKey } = flags;
  if (store === 'embedded') return { kind: 'embedded', file: join(stateDir, STORE_FILE) };
  const password =
    etcdPasswordFile === undefined
      ? process.env.SLUICE_CP_ETCD_PASSWORD
      : contentOf('--etcd-password-file', etcdPasswordFile).toString().trim();
  if (etcdUser !== undefined && !password)
    throw new SettingError('--etcd-user needs --etcd-password-file, or the variable SLUICE_CP_ETCD_PASSWORD');
  return {
    kind: 'etcd',
    endpoints: etcd,
    ...(etcdUser !== undefined && password && { auth: { user: etcdUser, password } }),
    ...(etcdCa !== undefined && {
      tls: {
        ca: contentOf('--etcd-ca', etcdCa),
        ...(etcdCert !== undefined && { cert: contentOf('--etcd-cert', etcdCert) }),
        ...(etcdKey !== undefined && { key: contentOf('--etcd-key', etcdKey) }),
      },
    }),
  };
}

function nodeTls({
  listenCert,
  listenKey,
  listenClientCa,
}: ControlPlaneFlags): ControlPlaneOptions['nodes']['tls'] {
  if (listenCert === undefined || listenKey === undefined) return undefined;
  return {
    cert: contentOf('--listen-cert', listenCert),
    key: contentOf('--listen-key', listenKey),
    ...(listenClientCa !== undefined && { clientCa: contentOf('--listen-client-ca', listenClientCa) }),
  };
}

function adminTls({
  adminCert,
  adminKey,
  adminClientCa,
}: ControlPlaneFlags): ControlPlaneOptions['admin']['tls'] {
  if (adminCert === undefined || adminKey === undefined) return undefined;
  return {
    cert: contentOf('--admin-cert', adminCert),
    key: contentOf('--admin-key', adminKey),
    ...(adminClientCa !== undefined && { ca: contentOf('--admin-client-ca', adminClientCa) }),
  };
}

function oidc(flags: ControlPlaneFlags): Pick<AccessOptions, 'oidc'> {
  const { oidcIssuer, oidcAudience, oidcRoleClaim, oidcNameClaim, oidcTenantsClaim } = flags;
  if (oidcIssuer === undefined || oidcAudience === undefined) return {};
  const { oidcAdmins, oidcOperators, oidcViewers } = flags;
  return {
    oidc: {
      issuer: oidcIssuer,
      audience: oidcAudience,
      roleClaim: oidcRoleClaim,
      nameClaim: oidcNameClaim,
      ...(oidcTenantsClaim !== undefined && { tenantsClaim: oidcTenantsClaim }),
      roles: {
        ...(oidcAdmins && { admin: oidcAdmins }),
        ...(oidcOperators && { operator: oidcOperators }),
        ...(oidcViewers && { viewer: oidcViewers }),
      },
    },
  };
}

/** User and password may stand in the address, or in variables. */
function natsOptions({ nats, natsCredentials, natsCa }: ControlPlaneFlags): NatsOptions | undefined {
  if (nats === undefined) return undefined;
  const urls = nats.map((text) => {
    const url = text.includes('://') ? text : `nats://${text}`;
    // A password may stand in it, so it is not shown.
    if (!URL.canParse(url)) throw new SettingError('--nats: give nats://host:4222 or tls://host:4222');
    return new URL(url);
  });
  if (natsCredentials !== undefined) contentOf('--nats-credentials', natsCredentials);
  if (natsCa !== undefined) contentOf('--nats-ca', natsCa);
  const { username, password } = urls.find((url) => url.username !== '') ?? { username: '', password: '' };
  return {
    servers: urls.map(({ protocol, host }) => `${protocol}//${host}`),
    user: username === '' ? process.env.SLUICE_CP_NATS_USER : decodeURIComponent(username),
    password: password === '' ? process.env.SLUICE_CP_NATS_PASSWORD : decodeURIComponent(password),
    token: process.env.SLUICE_CP_NATS_TOKEN,
    credentialsFile: natsCredentials,
    tls: natsCa === undefined ? undefined : { caFile: natsCa },
  };
}

function contentOf(flag: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SettingError(`${flag}: ${file} cannot be read: ${(error as Error).message}`);
  }
}
