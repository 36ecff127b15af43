/** The files that say which tokens let whom in. They hold digests, so nothing that opens anything. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { AccessOptions } from './admin/index.js';
import type { NodeGrant } from './delivery/node-access.js';

const TOKEN_BYTES = 32;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

const ROLES = ['viewer', 'operator', 'admin'] as const;

/** Kinds of alternative names of certificates, as rules name them. */
const ALTERNATIVE_NAME = /^(?:URI|DNS|email):/;

type ApiToken = NonNullable<AccessOptions['tokens']>[number];
type CertificateRule = NonNullable<AccessOptions['certificates']>[number];

/** A file of tokens cannot be used; the message says which, where and why. */
export class TokenFileError extends Error {
  override readonly name = 'TokenFileError';
}

/** A new token, which says what it is for, and its digest. */
export function newToken(kind: 'node' | 'admin'): { readonly token: string; readonly sha256: string } {
  const token = `sluice_${kind}_${randomBytes(TOKEN_BYTES).toString('base64url')}`;
  return { token, sha256: createHash('sha256').update(token).digest('hex') };
}

/** @throws TokenFileError */
export function readNodeGrants(file: string): readonly NodeGrant[] {
  return entriesOf(file, ['node', 'token_sha256', 'region', 'tenants']).map((entry) => ({
    node: entry.text('node') ?? '*',
    tokenSha256: entry.digest('token_sha256') ?? '',
    region: entry.text('region') ?? '',
    tenants: entry.texts('tenants') ?? [],
  }));
}

/** @throws TokenFileError */
export function readAdminAccess(file: string): Pick<AccessOptions, 'tokens' | 'certificates'> {
  const tokens: ApiToken[] = [];
  const certificates: CertificateRule[] = [];
  for (const entry of entriesOf(file, ['name', 'token_sha256', 'certificate', 'role', 'tenants'])) {
    const role =
      ROLES.find((each) => each === entry.text('role')) ??
      entry.wrong(`role has to be one of ${ROLES.join(', ')}`);
    const tenants = entry.texts('tenants');
    if (role === 'admin' && tenants !== undefined)
      entry.wrong('an admin has all tenants: make it an operator, or leave out tenants');
    const grant = { role, ...(tenants && { tenants }) };
    const [name, sha256] = [entry.text('name'), entry.digest('token_sha256')];
    const certificate = entry.text('certificate');
    if (certificate !== undefined && sha256 === undefined)
      certificates.push(
        ALTERNATIVE_NAME.test(certificate)
          ? { ...grant, alternativeName: certificate }
          : { ...grant, commonName: certificate },
      );
    else if (sha256 !== undefined && certificate === undefined)
      tokens.push({
        ...grant,
        sha256,
        name: name ?? entry.wrong('name is missing: it says who holds the token'),
      });
    else entry.wrong('give either token_sha256 or certificate');
  }
  return { tokens, certificates };
}

interface Entry {
  text(field: string): string | undefined;
  texts(field: string): readonly string[] | undefined;
  digest(field: string): string | undefined;
  wrong(what: string): never;
}

function entriesOf(file: string, fields: readonly string[]): Entry[] {
  const fail = (what: string, cause?: unknown): never => {
    throw new TokenFileError(`${file}: ${what}`, { cause });
  };
  const list = listIn(file, fail);
  if (list.length === 0) fail('nobody could come in: it has no entries');
  return list.map((content, index) => {
    const wrong = (what: string) => fail(`entry ${index + 1}: ${what}`);
    if (typeof content !== 'object' || content === null || Array.isArray(content))
      return wrong(`has to have fields: ${fields.join(', ')}`);
    const values = content as Readonly<Record<string, unknown>>;
    const unknown = Object.keys(values).find((field) => !fields.includes(field));
    if (unknown !== undefined) wrong(`there is no field ${unknown}; there are ${fields.join(', ')}`);
    const text = (field: string) => {
      const value = values[field];
      if (value === undefined || (typeof value === 'string' && value !== '')) return value;
      return wrong(`${field} has to be a text`);
    };
    return {
      text,
      wrong,
      texts: (field) => {
        const value = values[field];
        const isList = Array.isArray(value) && value.length > 0;
        if (value === undefined || (isList && value.every((each) => typeof each === 'string' && each !== '')))
          return value as readonly string[] | undefined;
        return wrong(`${field} has to be a list of names, or left out for all`);
      },
      digest: (field) => {
        const value = text(field);
        if (value === undefined || /^[0-9a-f]{64}$/i.test(value)) return value?.toLowerCase();
        // It may be the token itself, so it is not shown.
        return wrong(`${field} has to be 64 hexadecimal digits: the SHA-256 of the token, not the token`);
      },
    };
  });
}

function listIn(file: string, fail: (what: string, cause?: unknown) => never): readonly unknown[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return fail(`it cannot be read: ${(error as Error).message}`, error);
  }
  if (text.length > MAX_FILE_BYTES) fail(`it is larger than ${MAX_FILE_BYTES} bytes`);
  let list: unknown;
  try {
    list = parse(text, { logLevel: 'error' });
  } catch (error) {
    // What the parser says quotes the line, which may hold a token.
    const { linePos } = error as { linePos?: readonly { line: number }[] };
    return fail(`it is no YAML${linePos?.[0] ? `: line ${linePos[0].line}` : ''}`);
  }
  return Array.isArray(list) ? list : fail('has to be a list of entries');
}
