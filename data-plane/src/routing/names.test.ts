import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignNames, exposeName, type NameOwner, type Naming } from './names.js';

const shape = { separator: '__', maxNameLength: 64 };
const anyText = fc.string({ unit: 'binary', maxLength: 150 });
const anyShape = fc.record({
  separator: fc.constantFrom('__', ':', '/', '.', '-'),
  maxNameLength: fc.integer({ min: 24, max: 128 }),
});

/** Few letters, so that separators inside names, equal names and shortened names are frequent. */
const tightUnit = fc.constantFrom('a', 'b', '_', '__');
const tightText = fc.oneof(
  fc.string({ unit: tightUnit, maxLength: 3 }),
  fc.string({ unit: tightUnit, maxLength: 40 }),
);
const owners = fc.uniqueArray(fc.record({ upstreamName: tightText, name: tightText }), {
  selector: (owner) => JSON.stringify([owner.upstreamName, owner.name]),
  maxLength: 30,
});
const naming: fc.Arbitrary<Naming> = fc.record({
  mode: fc.constantFrom('always', 'when_needed'),
  separator: fc.constantFrom('__', '_', ':'),
  maxNameLength: fc.integer({ min: 24, max: 64 }),
});

function nameOf(names: Map<string, NameOwner>, upstreamName: string, name: string): string | undefined {
  for (const [exposed, owner] of names) {
    if (owner.upstreamName === upstreamName && owner.name === name) return exposed;
  }
  return undefined;
}

describe('exposeName', () => {
  it('puts the upstream in front', () => {
    expect(exposeName('files', 'read_file', shape)).toBe('files__read_file');
    expect(exposeName('files', 'read_file', { ...shape, separator: ':' })).toBe('files:read_file');
  });

  it('keeps the name that a long tool had in an earlier release', () => {
    const long = 'fetch_the_monthly_report_of_every_department_and_send_it_to_accounting';
    expect(exposeName('reports', long, shape)).toBe(
      'reports__fetch_the_monthly-_and_send_it_to_accounting-kmzb7ioygd',
    );
  });

  it('is never longer than allowed, and is the whole name where that fits', () => {
    fc.assert(
      fc.property(anyText, anyText, anyShape, (upstream, name, anyOf) => {
        const plain = upstream + anyOf.separator + name;
        const exposed = exposeName(upstream, name, anyOf);
        expect(exposed.length).toBeLessThanOrEqual(anyOf.maxNameLength);
        if (plain.length <= anyOf.maxNameLength) expect(exposed).toBe(plain);
      }),
    );
  });

  it('brings in no character but those of the names and of the digest', () => {
    fc.assert(
      fc.property(anyText, anyText, anyShape, (upstream, name, anyOf) => {
        const allowed = new Set([
          ...upstream,
          ...anyOf.separator,
          ...name,
          ...'-abcdefghijklmnopqrstuvwxyz234567',
        ]);
        expect([...exposeName(upstream, name, anyOf)].filter((char) => !allowed.has(char))).toEqual([]);
      }),
    );
  });

  it('shortens two names that differ anywhere to two names', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 80, maxLength: 120 }), fc.nat(79), (name, at) => {
        const other = `${name.slice(0, at)}${name[at] === 'x' ? 'y' : 'x'}${name.slice(at + 1)}`;
        expect(exposeName('files', name, shape)).not.toBe(exposeName('files', other, shape));
      }),
    );
    expect(exposeName('a', `${'x'.repeat(80)}\ud800`, shape)).not.toBe(
      exposeName('a', `${'x'.repeat(80)}\ud801`, shape),
    );
  });

  it('refuses a limit that leaves no room for a digest', () => {
    expect(() => exposeName('a', 'b', { ...shape, maxNameLength: 23 })).toThrow(/at least 24/);
  });
});

describe('assignNames', () => {
  it('gives every tool a name of its own, within the limit', () => {
    fc.assert(
      fc.property(owners, naming, (all, how) => {
        const names = assignNames(all, how);
        expect(names.size).toBe(all.length);
        expect(new Set(names.values())).toEqual(new Set(all));
        for (const name of names.keys()) expect(name.length).toBeLessThanOrEqual(how.maxNameLength);
      }),
    );
  });

  it('does not depend on the order in which upstreams were seen', () => {
    fc.assert(
      fc.property(owners, naming, fc.infiniteStream(fc.nat()), (all, how, weights) => {
        const shuffled = all
          .map((owner) => ({ owner, weight: weights.next().value as number }))
          .sort((a, b) => a.weight - b.weight)
          .map(({ owner }) => owner);
        const first = assignNames(all, how);
        const second = assignNames(shuffled, how);
        for (const [name, owner] of first) expect(second.get(name)).toBe(owner);
      }),
    );
  });

  it('gives both a digest when two would read the same', () => {
    const names = assignNames(
      [
        { upstreamName: 'a', name: 'b__c' },
        { upstreamName: 'a__b', name: 'c' },
      ],
      { ...shape, mode: 'always' },
    );
    expect([...names.keys()].every((name) => /^a__b__c-[a-z2-7]{10}$/.test(name))).toBe(true);
    expect(names.size).toBe(2);
  });

  it('lets nobody take the digest name of another', () => {
    const collision = [
      { upstreamName: 'a', name: 'b__c' },
      { upstreamName: 'a__b', name: 'c' },
    ];
    const always: Naming = { ...shape, mode: 'always' };
    const target = nameOf(assignNames(collision, always), 'a__b', 'c') as string;
    const names = assignNames([...collision, { upstreamName: 'a', name: target.slice(3) }], always);
    expect(names.size).toBe(3);
    expect(names.has(target)).toBe(false);
  });

  it('leaves names bare where one upstream has them, when told to', () => {
    const names = assignNames(
      [
        { upstreamName: 'github', name: 'search' },
        { upstreamName: 'files', name: 'search' },
        { upstreamName: 'files', name: 'read' },
      ],
      { ...shape, mode: 'when_needed' },
    );
    expect([...names.keys()].sort()).toEqual(['files__search', 'github__search', 'read']);
  });
});
