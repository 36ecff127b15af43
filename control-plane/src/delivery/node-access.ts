/** Which node a caller is, and what of the configuration it may see. */
import { createHash } from 'node:crypto';
import type { View } from '@sluice/proto/cluster';

/** Names stand in subjects of NATS, in logs and in URLs. */
const NODE_NAME = /^[A-Za-z0-9]([A-Za-z0-9_-]|\.(?!\.)){0,126}$/;
const REGION_NAME = /^[A-Za-z0-9_.-]{0,64}$/;

/** Says that nodes of these names may come, with what proof, and what they see. */
export interface NodeGrant {
  /** A name, in which `*` stands for any characters. */
  readonly node: string;
  /** SHA-256 of the token in hexadecimal; empty: a client certificate proves the name. */
  readonly tokenSha256: string;
  /** The region of these nodes; empty: the one that each says. */
  readonly region: string;
  /** The tenants whose resources they see; empty: all. */
  readonly tenants: readonly string[];
}

/** What a caller shows. */
export interface NodeClaim {
  readonly node: string;
  readonly region: string;
  readonly token: string | undefined;
  /** Names in the certificate that it proved to have. */
  readonly certificateNames: readonly string[];
}

/** Why a caller is not let in. */
export class NodeRefusedError extends Error {
  override readonly name = 'NodeRefusedError';

  constructor(
    readonly reason: 'invalid' | 'unauthenticated' | 'forbidden',
    message: string,
  ) {
    super(message);
  }
}

/** Decides who a node is and what it sees. */
export type NodeAccess = (claim: NodeClaim) => View;

/** @param grants undefined: every node is let in and sees all of its region, as on a machine of one's own */
export function nodeAccess(grants: readonly NodeGrant[] | undefined): NodeAccess {
  const rules = grants?.map((grant) => ({ grant, isName: namePattern(grant.node) }));
  return (claim) => {
    refuseNames(claim);
    if (rules === undefined) return { region: claim.region, tenants: undefined };
    const proven = rules.filter(({ grant }) => proves(claim, grant));
    if (proven.length === 0)
      throw new NodeRefusedError(
        'unauthenticated',
        'neither the token nor the certificate is that of a node',
      );
    const grant = proven.find(({ isName }) => isName(claim.node))?.grant;
    if (grant === undefined)
      throw new NodeRefusedError('forbidden', `the token is not for a node named ${claim.node}`);
    if (grant.region !== '' && claim.region !== '' && claim.region !== grant.region) {
      const message = `the node says region ${claim.region}, its grant says ${grant.region}`;
      throw new NodeRefusedError(
        'forbidden',
        `${message}; start it with the region of its grant, or with none`,
      );
    }
    return {
      region: grant.region || claim.region,
      tenants: grant.tenants.length === 0 ? undefined : grant.tenants,
    };
  };
}

function refuseNames({ node, region }: NodeClaim): void {
  if (!NODE_NAME.test(node))
    throw new NodeRefusedError(
      'invalid',
      `a node has a name of at most 127 letters, digits, '_', '-' and single '.', not ${JSON.stringify(node.slice(0, 130))}`,
    );
  if (!REGION_NAME.test(region))
    throw new NodeRefusedError(
      'invalid',
      `a region has a name of at most 64 letters, digits, '_', '-' and '.', not ${JSON.stringify(region.slice(0, 70))}`,
    );
}

/** Digests are compared, so the time that it takes says nothing about the token. */
function proves({ node, token, certificateNames }: NodeClaim, { tokenSha256 }: NodeGrant): boolean {
  if (tokenSha256 === '') return certificateNames.includes(node);
  return (
    token !== undefined && createHash('sha256').update(token).digest('hex') === tokenSha256.toLowerCase()
  );
}

function namePattern(pattern: string): (name: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  return (name) => {
    if (!name.startsWith(first)) return false;
    if (rest.length === 0) return name === pattern;
    const last = rest.at(-1) ?? '';
    let at = first.length;
    for (const part of rest.slice(0, -1)) {
      const found = name.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return name.length - last.length >= at && name.endsWith(last);
  };
}
