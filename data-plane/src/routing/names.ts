import { createHash } from 'node:crypto';

/**
 * Names of tools and prompts at the merged endpoint: `upstream__tool`, at most so many characters, and one
 * name for one tool.
 *
 * A name is made here and never read back: what it stands for is looked up in the map that
 * {@link assignNames} makes (an upstream `a` with `b__c` and an upstream `a__b` with `c` look the same).
 */

/** Shortest allowed `maxNameLength`: room for a digest and a few readable characters. */
export const MIN_NAME_LENGTH_CHARS = 24;

/** 50 bits: two of a million names in collision are improbable, and a deliberate collision only lengthens both. */
const DIGEST_CHARS = 10;
/** 100 bits, for names that were brought to collide in the short digest. */
const LONG_DIGEST_CHARS = 20;

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

export interface NameShape {
  /** Stands between the upstream's name and the tool's. */
  readonly separator: string;
  /** Longest exposed name in UTF-16 units, which is what clients count; at least {@link MIN_NAME_LENGTH_CHARS}. */
  readonly maxNameLength: number;
}

export interface Naming extends NameShape {
  /** `when_needed`: the bare name where one upstream has it, the upstream's name in front where several have. */
  readonly mode: 'always' | 'when_needed';
}

/** What a name stands for, in the names of the upstream and of its tool or prompt. */
export interface NameOwner {
  readonly upstreamName: string;
  readonly name: string;
  /** The name that it was given; others make way for it. */
  readonly rename?: string;
}

/**
 * The plain exposed name: `upstream__tool`; when that is too long, its head, its tail and a digest of the
 * (upstream, name) pair, so that it depends on nothing else that is offered.
 *
 * @throws RangeError when `shape.maxNameLength` is under {@link MIN_NAME_LENGTH_CHARS}.
 */
export function exposeName(upstreamName: string, name: string, shape: NameShape): string {
  const plain = upstreamName + shape.separator + name;
  return plain.length <= maxLength(shape)
    ? plain
    : withDigest(plain, { upstreamName, name }, shape, DIGEST_CHARS);
}

/**
 * Gives each owner a name that no other has. Owners are distinct (upstream, name) pairs.
 *
 * Every owner begins with its shortest form; all owners of one name in collision take their next longer form
 * together, until there is none. So the outcome depends on the set of owners and not on their order, and no
 * upstream keeps a short name because it was there first.
 */
export function assignNames<Owner extends NameOwner>(
  owners: readonly Owner[],
  naming: Naming,
): Map<string, Owner> {
  const forms = naming.mode === 'when_needed' ? [bareForm, ...LONGER_FORMS] : LONGER_FORMS;
  const formsOf = ({ rename }: Owner) => (rename === undefined ? forms : [() => rename, ...LONGER_FORMS]);
  const level = new Map<Owner, number>(owners.map((owner) => [owner, 0]));
  for (;;) {
    const claims = new Map<string, Owner[]>();
    for (const owner of owners) {
      const name = formsOf(owner)[level.get(owner) ?? 0]?.(owner, naming) ?? '';
      const claim = claims.get(name);
      if (claim) claim.push(owner);
      else claims.set(name, [owner]);
    }
    let collided = false;
    for (const claim of claims.values()) {
      if (claim.length < 2) continue;
      const given = claim.filter((owner) => owner.rename !== undefined && level.get(owner) === 0);
      for (const owner of given.length === 1 ? claim.filter((each) => each !== given[0]) : claim) {
        const next = (level.get(owner) ?? 0) + 1;
        if (next === formsOf(owner).length) continue;
        level.set(owner, next);
        collided = true;
      }
    }
    // Two owners in their last form differ in 100 bits of SHA-256, so that one owner stands for each name.
    if (!collided) return new Map([...claims].map(([name, claim]) => [name, claim[0] as Owner]));
  }
}

type Form = (owner: NameOwner, shape: NameShape) => string;

const bareForm: Form = (owner, shape) =>
  owner.name.length <= maxLength(shape) ? owner.name : withDigest(owner.name, owner, shape, DIGEST_CHARS);

const LONGER_FORMS: readonly Form[] = [
  (owner, shape) => exposeName(owner.upstreamName, owner.name, shape),
  (owner, shape) => withDigest(owner.upstreamName + shape.separator + owner.name, owner, shape, DIGEST_CHARS),
  (owner, shape) =>
    withDigest(owner.upstreamName + shape.separator + owner.name, owner, shape, LONG_DIGEST_CHARS),
];

/** `plain-digest`, or `head-tail-digest` where that is too long. */
function withDigest(plain: string, owner: NameOwner, shape: NameShape, digestChars: number): string {
  const suffix = `-${digest(owner, digestChars)}`;
  if (plain.length + suffix.length <= maxLength(shape)) return plain + suffix;
  const room = maxLength(shape) - suffix.length - 1;
  const headEnd = Math.ceil(room / 2);
  const tailStart = plain.length - (room - headEnd);
  // A surrogate pair is kept or left out as a whole.
  const head = plain.slice(0, splitsPair(plain, headEnd) ? headEnd - 1 : headEnd);
  const tail = plain.slice(splitsPair(plain, tailStart) ? tailStart + 1 : tailStart);
  return `${head}-${tail}${suffix}`;
}

function splitsPair(text: string, index: number): boolean {
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(index - 1, index + 1));
}

/** Digest of the pair in lower-case base32. JSON keeps the pair apart and lone surrogates different. */
function digest(owner: NameOwner, chars: number): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([owner.upstreamName, owner.name]))
    .digest();
  let text = '';
  for (let bit = 0; text.length < chars; bit += 5) {
    const pair = bytes.readUInt16BE(bit >> 3);
    text += BASE32[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}

function maxLength(shape: NameShape): number {
  if (shape.maxNameLength < MIN_NAME_LENGTH_CHARS) {
    throw new RangeError(
      `naming: max_name_length is ${shape.maxNameLength}; at least ${MIN_NAME_LENGTH_CHARS} is needed`,
    );
  }
  return shape.maxNameLength;
}
