/**
 * Values of any size in etcd, which takes 1.5 MiB at once. A small one is the value of its key. A large one lies in
 * chunks, put there before, and its key names them. While chunks are put, a key with a lease says so: whoever finds
 * chunks that neither this nor the value's key speaks of may delete them.
 */
import { randomUUID } from 'node:crypto';
import type { ICompare, IKeyValue, IRequestOp } from 'etcd3';
import type { EtcdClient } from './etcd-client.js';

/** Largest value of one key; well below what etcd takes in one request (`--max-request-bytes`). */
const CHUNK_BYTES = 512 * 1024;
/** Longer than the deadlines of all calls that put the largest revision. */
const UPLOAD_LEASE_SECONDS = 600;

const IS_INLINE = 0;
const IS_CHUNKED = 1;
const INDEX_DIGITS = 6;
/** The character after `/`: where keys that begin with a name and `/` end. */
export const AFTER_SLASH = '0';

/** What makes a value visible, to be part of a transaction, and what to do once that is decided. */
export interface PreparedValue {
  readonly compare: readonly ICompare[];
  readonly operations: readonly IRequestOp[];
  /** After the transaction was done, or not; failures of this are nobody's. */
  settle(isVisible: boolean): Promise<void>;
}

/** @param name the key that is going to name it, once the transaction is done */
export async function prepareValue(
  client: EtcdClient,
  name: string,
  bytes: Uint8Array,
): Promise<PreparedValue> {
  if (bytes.length <= CHUNK_BYTES)
    return {
      compare: [],
      operations: [client.put(name, Buffer.concat([Buffer.of(IS_INLINE), bytes]))],
      settle: async () => {},
    };
  const id = groupOf(name);
  const lease = await client.grantLease(UPLOAD_LEASE_SECONDS);
  const upload = `upload/${id}`;
  await client.transact([], [client.put(upload, '', lease)]);
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  for (let index = 0; index < count; index++) {
    const chunk = Buffer.from(bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
    await client.transact([], [client.put(`chunk/${id}/${indexText(index)}`, chunk)]);
  }
  const reference = Buffer.from(JSON.stringify({ id, count }));
  return {
    compare: [client.exists(upload)],
    operations: [client.put(name, Buffer.concat([Buffer.of(IS_CHUNKED), reference])), client.delete(upload)],
    settle: async (isVisible) => {
      try {
        await client.revokeLease(lease);
        if (!isVisible) await client.transact([], [deleteGroup(client, id)]);
        await sweep(client);
      } catch {
        // The lease ends by itself, and the next one who uploads sweeps.
      }
    },
  };
}

/** @param at a revision of etcd at which the key had this value */
export async function readValue(
  client: EtcdClient,
  { key, value }: IKeyValue,
  at: string,
): Promise<Uint8Array> {
  // A copy, for the fields of a message that is read from a Buffer are parts of it.
  if (value[0] === IS_INLINE) return new Uint8Array(value.subarray(1));
  if (value[0] !== IS_CHUNKED) throw client.damaged(`${key} is of an unknown kind`);
  const { id, count } = referenceIn(value);
  const { found } = await client.list(`chunk/${id}/`, `chunk/${id}${AFTER_SLASH}`, { at });
  if (found.length !== count) throw client.damaged(`${key} has ${found.length} chunks instead of ${count}`);
  return new Uint8Array(Buffer.concat(found.map((each) => each.value)));
}

/** Deletes chunks that nobody puts any more, and no value names. */
async function sweep(client: EtcdClient): Promise<void> {
  const chunks = await client.list('chunk/', `chunk${AFTER_SLASH}`, { isKeysOnly: true });
  const groups = new Set(chunks.found.map((each) => client.nameOf(each).split('/')[1] as string));
  const { at } = chunks;
  for (const id of groups) {
    const upload = await client.list(`upload/${id}`, `upload/${id}/`, { at });
    if (upload.found.length > 0) continue;
    const owner = ownerOf(id);
    const { found } = await client.list(owner, `${owner}/`, { at });
    const value = found[0]?.value;
    if (value?.[0] === IS_CHUNKED && referenceIn(value).id === id) continue;
    await client.transact([], [deleteGroup(client, id)]);
  }
}

function deleteGroup(client: EtcdClient, id: string): IRequestOp {
  return client.delete(`chunk/${id}/`, `chunk/${id}${AFTER_SLASH}`);
}

function referenceIn(value: Buffer): { id: string; count: number } {
  return JSON.parse(value.subarray(1).toString()) as { id: string; count: number };
}

/** A new name for chunks, which says whose they are. */
function groupOf(name: string): string {
  return `${name.replace('/', '.')}.${randomUUID()}`;
}

function ownerOf(id: string): string {
  return id.slice(0, id.lastIndexOf('.')).replace('.', '/');
}

function indexText(index: number): string {
  return String(index).padStart(INDEX_DIGITS, '0');
}
