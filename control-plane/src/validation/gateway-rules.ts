import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Configuration, Gateway, Listen } from '@sluice/proto';
import { GATEWAY_DEFAULTS, GATEWAY_SETTINGS, LOG_FORMATS, LOG_LEVELS } from '@sluice/proto';
import { nearestName } from '@sluice/sdk/manifest';
import { isCidr, isHost, isLoopbackHost } from './addresses.js';
import type { Findings } from './findings.js';
import { authenticatesAll } from './plugin-rules.js';
import { checkRanges } from './ranges.js';

/** Rules for the gateway's own settings. */
export function checkGateway(findings: Findings, configuration: Configuration): void {
  const { gateway, upstreams } = configuration;
  checkRanges(findings, gateway, 'gateway', GATEWAY_SETTINGS);
  checkListen(findings, gateway?.listen, authenticatesAll(configuration));
  checkOwnAddress(findings, 'metrics', gateway);
  checkOwnAddress(findings, 'health', gateway);
  checkOwnAddress(findings, 'admin', gateway);
  checkAdmin(findings, gateway);
  checkSeparator(findings, gateway?.naming?.separator ?? '');
  checkDiscovery(findings, gateway);
  checkEgress(findings, gateway);
  checkKeys(findings, gateway?.sessions?.keys ?? []);
  checkLog(findings, gateway);
  checkDefaultUpstream(findings, gateway?.defaultUpstream ?? '', upstreams);
}

function checkHost(findings: Findings, path: string, host: string): boolean {
  if (host === '' || isHost(host)) return true;
  const hint =
    'write a host name or an IP address without brackets and without port, for example 127.0.0.1 or ::1';
  findings.error(path, 'not a host name or IP address', hint);
  return false;
}

function checkListen(findings: Findings, listen: Listen | undefined, isAuthenticated: boolean): void {
  if (listen === undefined) return;
  const path = 'gateway.listen';
  const isKnown = checkHost(findings, `${path}.host`, listen.host);
  if (isKnown && listen.host !== '' && !isLoopbackHost(listen.host) && !listen.insecure && !isAuthenticated) {
    findings.error(
      `${path}.host`,
      `${listen.host} can be reached from other machines, and nothing asks them who they are`,
      'listen on 127.0.0.1, use a plugin that knows callers on all endpoints (auth-…), or say `insecure: true` (--insecure) where something in front authenticates',
      [`${path}.insecure`, 'plugins'],
    );
  }
  listen.allowedHosts.forEach((host, index) => {
    if (host === '*' || isHost(host.replace(/^\[(.*)\]$/, '$1'))) return;
    const hint = 'write a host name or IP address without scheme and port, or * for any';
    findings.error(`${path}.allowed_hosts[${index}]`, 'not a host', hint);
  });
  listen.allowedOrigins.forEach((origin, index) => {
    if (origin === '*' || isOrigin(origin)) return;
    const hint =
      'write scheme, host and port and nothing else, for example https://app.example.com, or * for any';
    findings.error(`${path}.allowed_origins[${index}]`, 'not an origin', hint);
  });
  checkTls(findings, listen);
}

/** Exactly the form in which browsers send it (RFC 6454 section 6.1), since it is compared as text. */
function isOrigin(text: string): boolean {
  const origin = URL.canParse(text) ? new URL(text).origin : 'null';
  if (origin !== 'null') return origin === text;
  // Browser extensions and desktop shells have schemes that the URL standard gives no origin for.
  return /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._-]+(?::\d{1,5})?$/.test(text);
}

/** What can be guessed protects nothing; 32 characters are what a random key has in the shortest usual spelling. */
const MIN_KEY_LENGTH = 32;

function checkKeys(findings: Findings, keys: readonly string[]): void {
  for (const [index, key] of keys.entries()) {
    if (key.length >= MIN_KEY_LENGTH) continue;
    const hint =
      'write a random one, for example from `openssl rand -hex 32`, by a variable such as ${SLUICE_KEY}';
    const path = `gateway.sessions.keys[${index}]`;
    findings.error(path, `shorter than ${MIN_KEY_LENGTH} characters, so that it could be guessed`, hint);
  }
}

function checkTls(findings: Findings, { tls }: Listen): void {
  if (tls === undefined || (tls.certFile !== '' && tls.keyFile !== '')) return;
  const missing = tls.certFile === '' ? 'cert_file' : 'key_file';
  const hint = 'give both cert_file and key_file, or leave out tls for plain HTTP';
  const message = 'missing: a certificate and its key belong together';
  findings.error(`gateway.listen.tls.${missing}`, message, hint, ['gateway.listen.tls']);
}

type OwnAddress = 'metrics' | 'health' | 'admin';

/** What each of them does to those who reach it. */
const EXPOSES: Readonly<Record<OwnAddress, string>> = {
  metrics: 'shows metrics to other machines',
  health: 'shows health to other machines',
  admin: 'lets other machines end the sessions of clients',
};

function checkOwnAddress(findings: Findings, name: OwnAddress, gateway: Gateway | undefined): void {
  const address = gateway?.[name];
  if (address === undefined) return;
  const path = `gateway.${name}`;
  checkHost(findings, `${path}.host`, address.host);
  const host = address.host || GATEWAY_DEFAULTS[`${name}.host`];
  const clientHost = gateway?.listen?.host || GATEWAY_DEFAULTS['listen.host'];
  const clientPort = gateway?.listen?.port ?? GATEWAY_DEFAULTS['listen.port'];
  if (address.port !== 0 && address.port === clientPort && host === clientHost) {
    const whoElse = name === 'admin' ? '' : `, or leave out ${name} so that the client address serves it`;
    const others = [`${path}.host`, 'gateway.listen.host', 'gateway.listen.port'];
    findings.error(
      `${path}.port`,
      'the same address as that for clients',
      `choose another port${whoElse}`,
      others,
    );
  }
  const hasToken = name === 'admin' && (gateway?.admin?.token ?? '') !== '';
  if (isHost(host) && !isLoopbackHost(host) && !gateway?.listen?.insecure && !hasToken) {
    const token = name === 'admin' ? 'give it a `token`, ' : '';
    const hint = `${token}listen on 127.0.0.1, or say \`gateway.listen.insecure: true\` (--insecure) where a firewall keeps others out`;
    const message = `${host} ${EXPOSES[name]}, and nothing asks them who they are`;
    const others = ['gateway.listen.insecure', ...(name === 'admin' ? ['gateway.admin.token'] : [])];
    findings.error(`${path}.host`, message, hint, others);
  }
}

function checkAdmin(findings: Findings, gateway: Gateway | undefined): void {
  const { admin } = gateway ?? {};
  if (admin === undefined) return;
  const host = admin.host || GATEWAY_DEFAULTS['admin.host'];
  for (const name of ['metrics', 'health'] as const) {
    const other = gateway?.[name];
    if (other === undefined || admin.port === 0 || admin.port !== other.port) continue;
    if (host !== (other.host || GATEWAY_DEFAULTS[`${name}.host`])) continue;
    const others = ['gateway.admin.host', `gateway.${name}.host`, `gateway.${name}.port`];
    const hint = 'choose another port: who may see it is not who may change things';
    findings.error('gateway.admin.port', `the same address as that for ${name}`, hint, others);
  }
  if (admin.token === '') return;
  // Its value is told to nobody, so neither is what is wrong in it.
  if (admin.token.length < MIN_KEY_LENGTH) {
    const hint =
      'write a random one, for example from `openssl rand -hex 32`, by a variable such as ${SLUICE_ADMIN_TOKEN}';
    const message = `shorter than ${MIN_KEY_LENGTH} characters, so that it could be guessed`;
    findings.error('gateway.admin.token', message, hint);
  } else if (!/^[A-Za-z0-9._~+/-]+=*$/.test(admin.token)) {
    const hint = 'use letters, digits and - . _ ~ + / only, with = at the end only (RFC 6750 section 2.1)';
    findings.error('gateway.admin.token', 'has characters that an Authorization header cannot carry', hint);
  } else if (isHost(host) && !isLoopbackHost(host)) {
    const hint = 'let only a private network reach it, or put something with TLS in front';
    findings.warn('gateway.admin.host', `${host} takes the token over plain HTTP`, hint);
  }
}

const MAX_SEPARATOR_LENGTH = 8;

function checkSeparator(findings: Findings, separator: string): void {
  if (separator === '' || new RegExp(`^[A-Za-z0-9_.:/-]{1,${MAX_SEPARATOR_LENGTH}}$`).test(separator)) return;
  const hint = `write 1 to ${MAX_SEPARATOR_LENGTH} letters, digits, or _ - . : / characters, for example __`;
  findings.error('gateway.naming.separator', 'not a separator that names can carry', hint);
}

function checkDiscovery(findings: Findings, gateway: Gateway | undefined): void {
  const { interval, deadline } = gateway?.discovery ?? {};
  const intervalMs = interval ? durationMs(interval) : GATEWAY_DEFAULTS['discovery.interval'];
  const deadlineMs = deadline ? durationMs(deadline) : GATEWAY_DEFAULTS['discovery.deadline'];
  if (deadlineMs <= intervalMs) return;
  const hint = 'make deadline the shorter of the two, so that one round ends before the next begins';
  const path = `gateway.discovery.${deadline ? 'deadline' : 'interval'}`;
  const both = ['gateway.discovery.deadline', 'gateway.discovery.interval'];
  findings.error(path, 'the deadline is longer than the interval', hint, both);
}

function checkEgress(findings: Findings, gateway: Gateway | undefined): void {
  for (const list of ['deny', 'allow'] as const) {
    gateway?.egress?.[list].forEach((range, index) => {
      if (isCidr(range)) return;
      const hint = 'write an address and the length of its prefix, for example 10.0.0.0/8 or fd00::/8';
      findings.error(`gateway.egress.${list}[${index}]`, 'not a range in CIDR form', hint);
    });
  }
}

function checkLog(findings: Findings, gateway: Gateway | undefined): void {
  const { level = '', format = '' } = gateway?.log ?? {};
  checkWord(findings, 'gateway.log.level', level, LOG_LEVELS);
  checkWord(findings, 'gateway.log.format', format, LOG_FORMATS);
}

function checkWord(findings: Findings, path: string, word: string, words: readonly string[]): void {
  if (word === '' || words.includes(word)) return;
  findings.error(path, 'not one of the known words', `write one of: ${words.join(', ')}`);
}

function checkDefaultUpstream(findings: Findings, name: string, upstreams: Configuration['upstreams']): void {
  if (name === '') return;
  const path = 'gateway.default_upstream';
  const upstream = upstreams.find((candidate) => candidate.name === name);
  if (upstream === undefined) {
    const near = nearestName(
      name,
      upstreams.map((candidate) => candidate.name),
    );
    const hint = near === undefined ? 'name one of the upstreams' : `did you mean ${near}?`;
    const names = upstreams.map((_, index) => `upstreams[${index}].name`);
    const others = names.length === 0 ? ['upstreams'] : names;
    findings.error(path, `there is no upstream named ${name}`, hint, others);
  } else if (upstream.disabled) {
    findings.error(path, `the upstream ${name} is disabled`, 'enable it, or name another upstream');
  }
}
