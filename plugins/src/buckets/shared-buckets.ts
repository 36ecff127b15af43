/**
 * Token buckets in memory that all workers of a node share: a table of fixed size that no lock guards, with 16 bytes
 * for a bucket.
 *
 * A bucket is found by a 64-bit hash of its key under a secret that is made when the memory is first used: nobody who
 * calls can look for keys that meet. With N buckets in use, a new one meets another's with a chance of N / 2^64
 * (for 4 million buckets 2 in 10^13); the two would then share what they have. Keys are not kept.
 *
 * The table is made of groups of {@link GROUP_SIZE} slots, and a key belongs to one group. A bucket that is full again
 * is as good as none, so its slot goes to the next key that needs one. Where a group has none of those, the fullest
 * bucket gives way: what had been taken from it is forgotten, so size the table at twice the keys that are active at
 * once. It never grows.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '@sluice/sdk';
import {
  type BucketState,
  type BucketStore,
  stateAt,
  stateOf,
  type Taken,
  TICKS_PER_MS,
  type Want,
} from './bucket-store.js';
import { KeyedHash } from './keyed-hash.js';
import { SharedTime } from './shared-time.js';

/** Slots in which a key can lie. At half load, one group in 250 has more keys than slots. */
const GROUP_SIZE = 16;
const HEADER_BYTES = 64;
const SLOT_BYTES = 16;
/** Bits of a slot's word that hold a time; those above hold a tag of the key, so that no time is taken for another's. */
const TIME_BITS = 52;
/** Tries for the latch of a group before waiting, and waits of a millisecond before its holder is taken for dead. */
const MAX_SPIN_COUNT = 500;
const MAX_WAIT_COUNT = 20;

const SEED = 0;
const ABSENT = -1;

export class SharedBuckets implements BucketStore {
  private readonly hash: KeyedHash;
  private readonly time: SharedTime;
  private readonly groupMask: number;
  /** For each group 1 while a worker gives one of its slots to another key. */
  private readonly latches: Int32Array;
  /** For each slot two halves of the hash; both 0 when it is free. */
  private readonly keys: Int32Array;
  /** For each slot the tag of its key, and below it the time when the bucket is full, in ticks. */
  private readonly words: BigUint64Array;

  /** Bytes that a table for at least so many buckets needs. */
  static bytesFor(bucketCount: number): number {
    const groupCount = groupsFor(bucketCount);
    return HEADER_BYTES + groupCount * GROUP_SIZE * SLOT_BYTES + groupCount * 4;
  }

  /** @param shared zeroed at first, of the size that {@link bytesFor} said, the same for all workers. */
  constructor(shared: SharedArrayBuffer, clock: Clock) {
    const seed = new Int32Array(shared, 0, 2);
    this.hash = new KeyedHash(agreed(seed, SEED), agreed(seed, SEED + 1));
    this.time = new SharedTime(new BigInt64Array(shared, 8, 3), clock);
    const groupCount = groupsIn(shared.byteLength);
    const slotCount = groupCount * GROUP_SIZE;
    this.groupMask = groupCount - 1;
    this.words = new BigUint64Array(shared, HEADER_BYTES, slotCount);
    this.keys = new Int32Array(shared, HEADER_BYTES + slotCount * 8, slotCount * 2);
    this.latches = new Int32Array(shared, HEADER_BYTES + slotCount * SLOT_BYTES, groupCount);
  }

  take(wants: readonly Want[]): Taken {
    const nowTicks = this.time.nowMs() * TICKS_PER_MS;
    if (wants.length === 1) {
      const state = this.takeOne(wants[0] as Want, nowTicks);
      return { isAllowed: state.isEnough, states: [state], atTicks: nowTicks };
    }
    const seen = wants.map((want) => this.look(want, nowTicks));
    if (!seen.every(isEnough)) return { isAllowed: false, states: seen, atTicks: nowTicks };
    const states: BucketState[] = [];
    for (const want of wants) {
      const state = this.takeOne(want, nowTicks);
      states.push(state);
      if (state.isEnough) continue;
      // Another worker was quicker since the look; what was taken from the buckets before goes back.
      const taken = {
        isAllowed: false,
        states: [...states, ...seen.slice(states.length)],
        atTicks: nowTicks,
      };
      for (const before of wants.slice(0, states.length - 1)) this.giveBack(before, taken);
      return taken;
    }
    return { isAllowed: true, states, atTicks: nowTicks };
  }

  giveBack({ key, allowance }: Want, { atTicks }: Pick<Taken, 'atTicks'>): void {
    // Until then the unit is surely missing in the bucket; later it may have come back by itself, and would be twice.
    if (this.time.nowMs() * TICKS_PER_MS >= atTicks + allowance.intervalTicks) return;
    this.hash.hash(key);
    const { low, high } = this.hash;
    for (;;) {
      const slot = this.find(low, high);
      if (slot === ABSENT) return;
      const word = Atomics.load(this.words, slot);
      if (tagOf(word) !== tagFor(high)) continue;
      const fullAtTicks = Math.max(timeOf(word) - allowance.intervalTicks, 0);
      if (this.replace(slot, word, high, fullAtTicks)) return;
    }
  }

  /** What is in a bucket, with nothing taken. */
  private look({ key, allowance }: Want, nowTicks: number): BucketState {
    this.hash.hash(key);
    const { low, high } = this.hash;
    const slot = this.find(low, high);
    let fullAtTicks = 0;
    if (slot !== ABSENT) {
      const word = Atomics.load(this.words, slot);
      if (tagOf(word) === tagFor(high)) fullAtTicks = timeOf(word);
    }
    const { isEnough, creditTicks } = stateAt(fullAtTicks, nowTicks, allowance);
    return stateOf(creditTicks, allowance, isEnough);
  }

  private takeOne({ key, allowance }: Want, nowTicks: number): BucketState {
    this.hash.hash(key);
    const { low, high } = this.hash;
    for (;;) {
      const found = this.find(low, high);
      const slot = found === ABSENT ? this.insert(low, high) : found;
      const word = Atomics.load(this.words, slot);
      // Between finding and reading, the slot was given to another key.
      if (tagOf(word) !== tagFor(high)) continue;
      const { isEnough, debtTicks, creditTicks } = stateAt(timeOf(word), nowTicks, allowance);
      if (!isEnough) return stateOf(creditTicks, allowance, false);
      const { intervalTicks } = allowance;
      if (this.replace(slot, word, high, nowTicks + debtTicks + intervalTicks))
        return stateOf(creditTicks - intervalTicks, allowance, true);
    }
  }

  private find(low: number, high: number): number {
    const first = (low & this.groupMask) * GROUP_SIZE;
    for (let slot = first; slot < first + GROUP_SIZE; slot++) {
      if (this.holds(slot, low, high)) return slot;
    }
    return ABSENT;
  }

  private holds(slot: number, low: number, high: number): boolean {
    return Atomics.load(this.keys, slot * 2) === low && Atomics.load(this.keys, slot * 2 + 1) === high;
  }

  private replace(slot: number, word: bigint, high: number, timeTicks: number): boolean {
    return Atomics.compareExchange(this.words, slot, word, wordOf(high, timeTicks)) === word;
  }

  /** Gives a slot to a key; one worker at a time in a group, so that a key never has two. */
  private insert(low: number, high: number): number {
    const group = low & this.groupMask;
    this.latch(group);
    try {
      const found = this.find(low, high);
      if (found !== ABSENT) return found;
      for (;;) {
        const slot = this.fullest(group * GROUP_SIZE);
        if (this.give(slot, low, high)) return slot;
      }
    } finally {
      Atomics.store(this.latches, group, 0);
    }
  }

  /** False when somebody took from the slot's bucket at the same moment: then it is not to be forgotten. */
  private give(slot: number, low: number, high: number): boolean {
    const word = Atomics.load(this.words, slot);
    const before = { low: Atomics.load(this.keys, slot * 2), high: Atomics.load(this.keys, slot * 2 + 1) };
    // From here on nobody finds the old key; who looks for it comes to the latch. Whoever had found it already
    // changes the word first, or finds it changed and looks again.
    this.name(slot, 0, 0);
    const isGiven = Atomics.compareExchange(this.words, slot, word, wordOf(high, 0)) === word;
    this.name(slot, isGiven ? low : before.low, isGiven ? high : before.high);
    return isGiven;
  }

  private name(slot: number, low: number, high: number): void {
    Atomics.store(this.keys, slot * 2 + 1, high);
    Atomics.store(this.keys, slot * 2, low);
  }

  /** A free slot, or the one of which the least has been taken. */
  private fullest(first: number): number {
    let best = first;
    let bestTicks = Number.POSITIVE_INFINITY;
    for (let slot = first; slot < first + GROUP_SIZE; slot++) {
      if (this.holds(slot, 0, 0)) return slot;
      const fullAtTicks = timeOf(Atomics.load(this.words, slot));
      if (fullAtTicks < bestTicks) [best, bestTicks] = [slot, fullAtTicks];
    }
    return best;
  }

  private latch(group: number): void {
    for (let spin = 0; spin < MAX_SPIN_COUNT; spin++) {
      if (Atomics.compareExchange(this.latches, group, 0, 1) === 0) return;
    }
    for (let wait = 0; wait < MAX_WAIT_COUNT; wait++) {
      Atomics.wait(this.latches, group, 1, 1);
      if (Atomics.compareExchange(this.latches, group, 0, 1) === 0) return;
    }
    // A worker died with the latch in its hand. It holds it for no longer than a microsecond else.
  }
}

/** The secret that the first worker made. */
function agreed(seed: Int32Array, index: number): number {
  const own = randomBytes(4).readInt32LE() | 1;
  const before = Atomics.compareExchange(seed, index, 0, own);
  return before === 0 ? own : before;
}

function groupsFor(bucketCount: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, bucketCount / GROUP_SIZE)));
}

function groupsIn(byteLength: number): number {
  return 2 ** Math.floor(Math.log2((byteLength - HEADER_BYTES) / (GROUP_SIZE * SLOT_BYTES + 4)));
}

function tagFor(high: number): number {
  return high >>> 20;
}

function tagOf(word: bigint): number {
  return Number(word >> BigInt(TIME_BITS));
}

function timeOf(word: bigint): number {
  return Number(BigInt.asUintN(TIME_BITS, word));
}

function wordOf(high: number, timeTicks: number): bigint {
  return (BigInt(tagFor(high)) << BigInt(TIME_BITS)) | BigInt(timeTicks);
}

function isEnough(state: BucketState): boolean {
  return state.isEnough;
}
