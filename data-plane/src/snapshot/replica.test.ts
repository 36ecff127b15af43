import {
  AnnouncementSchema,
  create,
  PositionSchema,
  type PullResponse,
  UnknownResourceError,
} from '@sluice/proto/cluster';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, type Pulled, Replica } from './replica.js';
import { ScriptedStore, upstream } from './scripted-store.js';

function pulled(replica: Replica, pieces: ReturnType<ScriptedStore['pieces']>): Pulled {
  const assembly = replica.pulling();
  for (const piece of pieces) for (const _ of assembly.add(piece));
  return assembly.end();
}

const isCandidate = (what: unknown): what is Candidate => typeof what === 'object';

function takePull(replica: Replica, store: ScriptedStore): void {
  const candidate = pulled(replica, store.pieces());
  if (isCandidate(candidate)) replica.take(candidate);
}

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

describe('a replica', () => {
  it('takes a snapshot, and then the deltas that fit', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1), upstream('b', 2)], []);
    const replica = new Replica();
    takePull(replica, store);
    expect(replica.position?.revision).toBe(1n);
    const candidate = replica.judge(store.write([upstream('b', 3)], ['upstream//a']));
    expect(isCandidate(candidate)).toBe(true);
    replica.take(candidate as Candidate);
    expect([...replica.state.entries()].map(({ key }) => key)).toEqual(['upstream//b']);
    expect(hex(replica.state.digest)).toBe(hex(store.position.digest));
  });

  it('passes over what is old, and pulls where something is missing', () => {
    const store = new ScriptedStore('one');
    const first = store.write([upstream('a', 1)], []);
    const second = store.write([upstream('b', 2)], []);
    const replica = new Replica();
    expect(replica.judge(second)).toBe('pull');
    takePull(replica, store);
    expect(replica.judge(first)).toBe('nothing');
    expect(replica.judge(second)).toBe('nothing');
    store.write([upstream('c', 3)], []);
    expect(replica.judge(store.write([upstream('d', 4)], []))).toBe('pull');
    expect(replica.judge(store.write([upstream('e', 5)], [], false))).toBe('pull');
  });

  it('fetches all when a delta does not give the digest that it says', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1)], []);
    const replica = new Replica();
    takePull(replica, store);
    const next = store.write([upstream('b', 2)], []);
    expect(replica.judge({ ...next, changed: [upstream('b', 3).bytes] })).toBe('pull');
    const [first, ...rest] = store.pieces();
    expect(pulled(replica, [{ ...(first as PullResponse), changed: [] }, ...rest])).toBe('again');
    expect(pulled(replica, store.pieces().slice(0, 2))).toBe('again');
  });

  it('keeps what it has when the store was wiped, and follows it when there is something again', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1)], []);
    const replica = new Replica();
    takePull(replica, store);
    const wiped = new ScriptedStore('two');
    expect(pulled(replica, wiped.pieces(1))).toBe('nothing');
    expect(replica.judge(wiped.write([upstream('z', 9)], []))).toBe('pull');
    takePull(replica, wiped);
    expect(replica.position).toMatchObject({ storeId: 'two', revision: 1n });
    expect(replica.state.get('upstream//a')).toBeUndefined();
  });

  it('goes back where a pull says that the store did: it was restored from a backup', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1)], []);
    const backup = store.pieces();
    store.write([upstream('b', 1)], []);
    const replica = new Replica();
    takePull(replica, store);
    replica.take(pulled(replica, backup) as Candidate);
    expect(replica.position?.revision).toBe(1n);
  });

  it('keeps the objects of what did not change, through a snapshot too', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1), upstream('b', 2)], []);
    const replica = new Replica();
    takePull(replica, store);
    const before = replica.state.get('upstream//a');
    store.write([upstream('b', 3)], []);
    const candidate = pulled(replica, store.pieces()) as Candidate;
    expect(candidate.change.changed.map(({ key }) => key)).toEqual(['upstream//b']);
    replica.take(candidate);
    expect(replica.state.get('upstream//a')).toBe(before);
  });

  it('refuses what was made for something else, and what it does not know', () => {
    const store = new ScriptedStore('one');
    store.write([upstream('a', 1)], []);
    const replica = new Replica();
    const candidate = pulled(replica, store.pieces()) as Candidate;
    replica.take(candidate);
    expect(() => replica.take(candidate)).toThrow(/something else/);
    const before = store.position;
    const position = create(PositionSchema, { storeId: 'one', revision: 2n });
    const strange = create(AnnouncementSchema, {
      position,
      before,
      hasDelta: true,
      changed: [new Uint8Array()],
    });
    expect(() => replica.judge(strange)).toThrow(UnknownResourceError);
  });

  it('is whole after anything that announcements and pulls may do, and never goes back by an announcement', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('write' as const),
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        port: fc.nat(5),
        removes: fc.boolean(),
        hasDelta: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('hear' as const), which: fc.nat(30) }),
      fc.record({ kind: fc.constant('pull' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const store = new ScriptedStore('one');
        const replica = new Replica();
        for (const each of steps) {
          const before = replica.position?.revision ?? 0n;
          if (each.kind === 'write') {
            const removed = each.removes ? [`upstream//${each.name}`] : [];
            store.write(each.removes ? [] : [upstream(each.name, each.port)], removed, each.hasDelta);
          } else if (each.kind === 'pull') takePull(replica, store);
          else {
            const heard = store.announcements[each.which % Math.max(1, store.announcements.length)];
            const judged = heard === undefined ? 'nothing' : replica.judge(heard);
            if (isCandidate(judged)) replica.take(judged);
          }
          const { position } = replica;
          expect((position?.revision ?? 0n) >= before).toBe(true);
          if (position === undefined) continue;
          expect(hex(replica.state.digest)).toBe(store.digests.get(position.revision));
        }
        takePull(replica, store);
        if (store.revision > 0n) expect(replica.isAt(store.position)).toBe(true);
      }),
    );
  });
});
