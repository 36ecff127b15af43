/** What plugins may store, and how much of it: the same wherever it is kept. */
import type { PluginStore } from '@sluice/sdk';

/** The store of each plugin, by the name of its binding. */
export interface PluginStores {
  of(binding: string): PluginStore;
  close(): void;
}

export interface StoreLimits {
  readonly maxKeyBytes: number;
  readonly maxValueBytes: number;
  /** For each binding. */
  readonly maxKeyCount: number;
  /** What `keys` names at most. */
  readonly maxListedCount: number;
}

export const STORE_LIMITS: StoreLimits = {
  maxKeyBytes: 1_024,
  // NATS takes messages of 1,048,576 bytes, with what stands around a value.
  maxValueBytes: 1_000_000,
  maxKeyCount: 100_000,
  maxListedCount: 1_000,
};

/** Half of a character that takes two in UTF-16: no text has it, and UTF-8 cannot say it. */
const HALF = /\p{Surrogate}/u;

/** Throws a RangeError for what a store does not take. */
export function checkKey(key: string, { maxKeyBytes }: StoreLimits): void {
  if (key === '') throw new RangeError('a key of a store has at least one character');
  if (HALF.test(key)) throw new RangeError('a key of a store is a text without halves of characters');
  if (Buffer.byteLength(key) > maxKeyBytes)
    throw new RangeError(`a key of a store has at most ${maxKeyBytes} bytes`);
}

/** Throws a RangeError for what a store does not take. */
export function checkValue(value: string, { maxValueBytes }: StoreLimits): void {
  if (HALF.test(value)) throw new RangeError('a value of a store is a text without halves of characters');
  if (Buffer.byteLength(value) > maxValueBytes)
    throw new RangeError(`a value of a store has at most ${maxValueBytes} bytes`);
}

/** What is said when there are too many keys. */
export function storeIsFull(binding: string, { maxKeyCount }: StoreLimits): RangeError {
  return new RangeError(`the store of plugin ${binding} is full: it has ${maxKeyCount} keys`);
}
