/** What a node shares with others, by its options and variables. */
import { readFileSync } from 'node:fs';
import type { ClusterNodeOptions } from '@sluice/data-plane/node';
import type { NodeFlags } from './node-flags.js';

const MIN_KEY_BYTES = 32;

/**
 * Undefined where there is no NATS. User and password may stand in the address, or in variables.
 *
 * @param key what all nodes of the cluster have
 */
export function sharingOf(flags: NodeFlags, key: Buffer | undefined): ClusterNodeOptions['sharing'] {
  const { nats, natsCredentials, natsCa, natsCert, natsKey, natsReplicas, cluster, redis } = flags;
  if (nats === undefined) return undefined;
  const parsed = nats.map((url) => new URL(url.includes('://') ? url : `nats://${url}`));
  const { username, password } = parsed.find((each) => each.username !== '') ?? {};
  const user = username || process.env.SLUICE_NODE_NATS_USER;
  const isEncrypted =
    natsCa !== undefined || natsCert !== undefined || parsed.some(({ protocol }) => protocol === 'tls:');
  return {
    cluster,
    redis,
    key,
    nats: {
      servers: parsed.map(({ protocol, host }) => `${protocol}//${host}`),
      user: user && decodeURIComponent(user),
      password: password ? decodeURIComponent(password) : process.env.SLUICE_NODE_NATS_PASSWORD,
      token: process.env.SLUICE_NODE_NATS_TOKEN,
      credentialsFile: natsCredentials,
      replicas: natsReplicas,
      ...(isEncrypted && { tls: { caFile: natsCa, certFile: natsCert, keyFile: natsKey } }),
    },
  };
}

/**
 * The secret that tokens are sealed with in the whole cluster; undefined when nobody names one.
 *
 * @throws Error when it cannot be read, or is too short to be one.
 */
export function sharedKey({ keyFile }: NodeFlags): Buffer | undefined {
  const variable = process.env.SLUICE_NODE_KEY;
  const [place, text] =
    keyFile === undefined
      ? ['the variable SLUICE_NODE_KEY', variable || undefined]
      : [`the key file ${keyFile}`, read(keyFile)];
  if (text === undefined) return undefined;
  const key = Buffer.from(text.trim());
  if (key.length >= MIN_KEY_BYTES) return key;
  throw new Error(
    `${place} has ${key.length} bytes; the nodes of a cluster need the same ${MIN_KEY_BYTES} random bytes or more, for example from \`openssl rand -base64 32\``,
  );
}

function read(keyFile: string): string {
  try {
    return readFileSync(keyFile, 'utf8');
  } catch (error) {
    throw new Error(`the key file ${keyFile} cannot be read: ${(error as Error).message}`);
  }
}
