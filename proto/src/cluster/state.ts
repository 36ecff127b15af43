/**
 * The resources that hold at one revision, or those of them that one node sees: immutable to whoever looks, changed by
 * making the next one, which shares everything that did not change.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Resource, ResourceSchema } from '../gen/sluice/config/v1/resource_pb.js';
import { digestBytes, exchanged, partOf } from './digest.js';
import { type KeyText, keyOf, keyText } from './key.js';

/** A resource, and the bytes that it travels as. */
export interface Entry {
  readonly key: KeyText;
  readonly resource: Resource;
  readonly bytes: Uint8Array;
  /** Its part of the digest. */
  readonly part: bigint;
}

/** What becomes of some resources. */
export interface StateChange {
  /** New ones, and ones that take the place of those with their key. */
  readonly changed: readonly Entry[];
  readonly removed: readonly KeyText[];
}

/** Thrown for bytes that are no resource which this version knows. */
export class UnknownResourceError extends Error {
  override readonly name = 'UnknownResourceError';
}

/** @throws UnknownResourceError when it holds nothing that this version knows */
export function entryOf(resource: Resource): Entry {
  const key = keyOf(resource);
  if (key === undefined)
    throw new UnknownResourceError('a resource of a kind that this version does not know');
  const bytes = toBinary(ResourceSchema, resource);
  const text = keyText(key);
  return { key: text, resource, bytes, part: partOf(text, bytes) };
}

/**
 * @param bytes an encoded resource; kept as it is, for the digest is over them
 * @throws UnknownResourceError when they are none that this version knows
 */
export function entryOfBytes(bytes: Uint8Array): Entry {
  let resource: Resource;
  try {
    resource = fromBinary(ResourceSchema, bytes);
  } catch (cause) {
    throw new UnknownResourceError('bytes that are no resource', { cause });
  }
  const key = keyOf(resource);
  if (key === undefined)
    throw new UnknownResourceError('a resource of a kind that this version does not know');
  const text = keyText(key);
  return { key: text, resource, bytes, part: partOf(text, bytes) };
}

/**
 * A state is a line of changes, of which the newest end may be changed further: the map is handed on to the next
 * state, so a state that has a next one must not be read any more, except for its digest. `fork` makes one that may.
 */
export class ResourceState {
  private constructor(
    private readonly map: Map<KeyText, Entry>,
    private readonly sum: bigint,
  ) {}

  static empty(): ResourceState {
    return new ResourceState(new Map(), 0n);
  }

  static of(entries: Iterable<Entry>): ResourceState {
    return ResourceState.empty().with({ changed: [...entries], removed: [] });
  }

  /** A state of its own with the same content. */
  fork(): ResourceState {
    return new ResourceState(new Map(this.map), this.sum);
  }

  /** The state after a change; this one must not be read any more. What is removed and not there is passed over. */
  with({ changed, removed }: StateChange): ResourceState {
    let { sum } = this;
    for (const key of removed) {
      const before = this.map.get(key);
      if (before === undefined) continue;
      this.map.delete(key);
      sum = exchanged(sum, before.part, 0n);
    }
    for (const entry of changed) {
      sum = exchanged(sum, this.map.get(entry.key)?.part ?? 0n, entry.part);
      this.map.set(entry.key, entry);
    }
    return new ResourceState(this.map, sum);
  }

  /** The digest that it would have after a change; changes nothing. */
  digestWith({ changed, removed }: StateChange): Uint8Array {
    let { sum } = this;
    const seen = new Map<KeyText, bigint>();
    const partNow = (key: KeyText) => seen.get(key) ?? this.map.get(key)?.part ?? 0n;
    for (const key of removed) {
      sum = exchanged(sum, partNow(key), 0n);
      seen.set(key, 0n);
    }
    for (const { key, part } of changed) {
      sum = exchanged(sum, partNow(key), part);
      seen.set(key, part);
    }
    return digestBytes(sum);
  }

  get(key: KeyText): Entry | undefined {
    return this.map.get(key);
  }

  get size(): number {
    return this.map.size;
  }

  /** In no particular order. */
  entries(): IterableIterator<Entry> {
    return this.map.values();
  }

  /** 32 bytes. */
  get digest(): Uint8Array {
    return digestBytes(this.sum);
  }
}
