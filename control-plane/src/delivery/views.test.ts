import { create, fromBinary } from '@bufbuild/protobuf';
import {
  type Announcement,
  AnnouncementSchema,
  CheckpointSchema,
  entryOf,
  entryOfBytes,
  keyText,
  type Position,
  PositionSchema,
  type PullResponse,
  PullResponseSchema,
  type Resource,
  ResourceSchema,
  ResourceState,
  sees,
  type View,
} from '@sluice/proto/cluster';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryLog } from '../../test/memory-log.js';
import { ConfigurationHead } from '../revisions/head.js';
import type { DeliveredView } from './delivered-view.js';
import { MAX_PIECE_BYTES } from './pieces.js';
import { TooManyViewsError, Views } from './views.js';

const EVERYWHERE: View = { region: 'eu', tenants: undefined };
const ACME: View = { region: 'us', tenants: ['acme'] };

describe('views', () => {
  it('bring a node from anything that it may have to exactly its view', async () => {
    const change = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      tenant: fc.constantFrom('', 'acme', 'other'),
      regions: fc.subarray(['eu', 'us']),
      value: fc.nat({ max: 5 }),
      gone: fc.boolean(),
    });
    const script = fc.record({
      commits: fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 20 }),
      openAfter: fc.nat({ max: 20 }),
      compactAfter: fc.option(fc.nat({ max: 20 })),
      renewAfter: fc.option(fc.nat({ max: 20 })),
    });
    await fc.assert(
      fc.asyncProperty(script, async ({ commits, openAfter, compactAfter, renewAfter }) => {
        const log = new MemoryLog();
        const head = await open(log);
        const views = new Views(head, () => 0);
        const all = [EVERYWHERE, ACME];
        const delivered = () => all.map((view) => views.use(view));
        const seen: { state: ResourceState; position: Position }[][] = all.map(() => []);
        for (const [index, changes] of commits.entries()) {
          if (index === openAfter) delivered();
          await commit(head, changes);
          if (index === compactAfter) await head.compact(2);
          if (index === renewAfter) for (const listener of log.listeners) listener.lost('a test');
          await new Promise(setImmediate);
          for (const [number, view] of all.entries()) {
            const state = seenBy(view, head);
            const position = create(PositionSchema, {
              storeId: head.storeId,
              revision: BigInt(head.revision),
              digest: state.digest,
            });
            seen[number]?.push({ state, position });
          }
        }
        for (const [number, view] of delivered().entries()) {
          const wanted = seenBy(view.view, head);
          expect(view.position.digest).toEqual(wanted.digest);
          expect(Number(view.position.revision)).toBe(head.revision);
          for (const { state, position } of seen[number] ?? []) {
            expect(view.contradicts(position)).toBe(false);
            expect(contentOf(taken(state.fork(), view.pull(position)))).toEqual(contentOf(wanted));
          }
          expect(contentOf(taken(ResourceState.empty(), view.pull(undefined)))).toEqual(contentOf(wanted));
        }
        views.close();
        head.close();
      }),
      { numRuns: 150 },
    );
  });

  it('send what changed, and everything only to those of whom nothing is known', async () => {
    const { head, view } = await following(EVERYWHERE);
    await commit(head, many(500));
    const before = view.position;
    await commit(head, [{ name: 'n7', value: 2 }]);
    await commit(head, [{ name: 'n8', gone: true }]);

    const [delta, ...more] = decoded(view.pull(before));
    expect(more).toEqual([]);
    expect(delta).toMatchObject({ snapshot: false, last: true });
    expect(delta?.changed.map((bytes) => entryOfBytes(bytes).key)).toEqual(['consumer//n7']);
    expect(delta?.removed.map(keyText)).toEqual(['consumer//n8']);

    const elsewhere = create(PositionSchema, { ...before, storeId: 'another' });
    const damaged = create(PositionSchema, { ...before, digest: new Uint8Array(32).fill(1) });
    for (const have of [elsewhere, damaged, undefined])
      expect(decoded(view.pull(have))[0]).toMatchObject({ snapshot: true });
    expect(decoded(view.pull(view.position))[0]).toMatchObject({ snapshot: false, changed: [], removed: [] });
    expect([elsewhere, damaged, before].map((have) => view.contradicts(have))).toEqual([false, true, false]);
  });

  it('tell that nodes are given something else when a revision that some had is gone with its store', async () => {
    const log = new MemoryLog();
    const head = await open(log);
    const named = (name: string) => ({ name, tenant: '', regions: [], value: 1, gone: false });
    await commit(head, [named('a')]);
    await commit(head, [named('b')]);
    let held: number | undefined = 2;
    const views = new Views(head, () => 0, {
      get heldRevision() {
        return held;
      },
      isByCallers: false,
      includes: () => true,
      trialAt: () => undefined,
      onChange: () => () => {},
    });
    const view = views.use(EVERYWHERE);
    const ahead = views.given(view, 'n1', undefined);
    expect(ahead).not.toBe(view);
    let told = 0;
    views.onAssignment(() => {
      told += 1;
    });
    held = undefined;
    for (const listener of log.listeners) listener.lost('restored from a backup');
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(told).toBeGreaterThan(0);
    expect(views.given(view, 'n1', undefined)).toBe(view);
  });

  it('know the changes that were made before anybody had the view', async () => {
    const head = await open(new MemoryLog());
    await commit(head, many(100));
    const earlier = new Views(head, () => 0).use(ACME).position;
    await commit(head, [{ name: 'late' }]);
    await commit(head, [{ name: 'far', regions: ['eu'] }]);
    const view = new Views(head, () => 0).use(ACME);
    const [delta] = decoded(view.pull(earlier));
    expect(delta).toMatchObject({ snapshot: false });
    expect(delta?.changed.map((bytes) => entryOfBytes(bytes).key)).toEqual(['consumer//late']);
  });

  it('cut what is large into pieces', async () => {
    const { head, view } = await following(EVERYWHERE);
    await commit(head, many(100, 'x'.repeat(60_000)));
    await commit(head, [{ name: 'giant', title: 'y'.repeat(3 * MAX_PIECE_BYTES) }]);
    const encoded = view.pull(undefined);
    const pieces = decoded(encoded);
    expect(encoded.filter((bytes) => bytes.byteLength > MAX_PIECE_BYTES)).toHaveLength(1);
    expect(pieces.map(({ last }) => last)).toEqual([...pieces.slice(1).map(() => false), true]);
    expect(pieces.every(({ snapshot }) => snapshot)).toBe(true);
    expect(taken(ResourceState.empty(), encoded).digest).toEqual(view.position.digest);
  });

  it('take from a revision that does not touch them its number alone', async () => {
    const { head, view } = await following(ACME);
    await commit(head, [{ name: 'a' }]);
    const before = view.position;
    await commit(head, [{ name: 'b', regions: ['eu'] }]);
    await commit(head, [{ name: 'c', tenant: 'other' }]);
    expect(view.position.digest).toEqual(before.digest);
    expect(Number(view.position.revision)).toBe(3);
    expect(announced(view)).toMatchObject({ hasDelta: true, changed: [], removed: [] });
    expect(view.holds(3, before)).toBe(true);
    await commit(head, [{ name: 'd' }]);
    expect(view.holds(3, before)).toBe(true);
    expect(view.holds(4, before)).toBe(false);
    expect(view.holds(5, view.position)).toBe(false);
  });

  it('lose what was moved to another region or tenant', async () => {
    const { head, view } = await following(ACME);
    await commit(head, [{ name: 'a', regions: ['us'] }, { name: 'b' }]);
    await commit(head, [{ name: 'a', regions: ['eu'] }]);
    expect(announced(view).removed.map(keyText)).toEqual(['consumer//a']);
  });

  it('announce a small change with it and a large one without', async () => {
    const { head, view } = await following(EVERYWHERE);
    const empty = view.position;
    await commit(head, [{ name: 'a' }]);
    expect(announced(view)).toMatchObject({ hasDelta: true, before: empty, position: view.position });
    expect(announced(view).changed.map((bytes) => entryOfBytes(bytes).key)).toEqual(['consumer//a']);
    await commit(head, many(200, 'x'.repeat(1_000)));
    expect(announced(view)).toMatchObject({ hasDelta: false, changed: [], position: view.position });
  });

  it('encode an answer once for all who ask the same', async () => {
    const { head, view } = await following(EVERYWHERE);
    const before = view.position;
    await commit(head, [{ name: 'a' }]);
    expect(view.pull(before)).toBe(view.pull(create(PositionSchema, before)));
    expect(view.pull(undefined)).toBe(view.pull(undefined));
  });

  it('send everything when another store has taken the place of the one that was', async () => {
    const log = new MemoryLog();
    const head = await open(log);
    const view = new Views(head, () => 0).use(EVERYWHERE);
    await commit(head, [{ name: 'a' }]);
    const before = view.position;
    const { storeId, resources } = head.checkpoint();
    const restored = create(CheckpointSchema, {
      storeId: 'restored',
      revision: 2n,
      resources,
      replaces: [storeId],
    });
    await log.replace(restored, storeId);
    await new Promise(setImmediate);
    expect(view.position).toMatchObject({ storeId: 'restored', revision: 2n });
    expect(decoded(view.pull(before))[0]).toMatchObject({ snapshot: true });
    expect(announced(view)).toMatchObject({ hasDelta: false, position: view.position });
  });

  it('are dropped some time after the last node went, and are not any number', async () => {
    let now = 0;
    const head = await open(new MemoryLog());
    const views = new Views(head, () => now);
    for (let number = 0; number < 1_000; number++)
      views.release(views.use({ region: `r${number}`, tenants: undefined }));
    expect(() => views.use(EVERYWHERE)).toThrow(TooManyViewsError);
    now = 600_000;
    views.use(EVERYWHERE);
    expect(views.all().map(({ view }) => view)).toEqual([EVERYWHERE]);
  });
});

interface ConsumerChange {
  readonly name: string;
  readonly tenant?: string;
  readonly regions?: string[];
  readonly value?: number;
  readonly title?: string;
  readonly gone?: boolean;
}

async function open(log: MemoryLog): Promise<ConfigurationHead> {
  const onTrouble = (error: unknown) => {
    throw error;
  };
  return ConfigurationHead.open({ log, nowMs: () => 0, onTrouble });
}

async function following(view: View) {
  const head = await open(new MemoryLog());
  return { head, view: new Views(head, () => 0).use(view) };
}

function commit(head: ConfigurationHead, changes: readonly ConsumerChange[]) {
  const byKey = new Map(changes.map((change) => [`${change.tenant ?? ''}/${change.name}`, change]));
  const kept = [...byKey.values()];
  return head.commit({
    author: 'test',
    message: '',
    plan: async () => ({
      changed: kept.filter(({ gone }) => !gone).map(consumer),
      removed: kept.filter(({ gone }) => gone).map((change) => entryOf(consumer(change)).key),
    }),
  });
}

function consumer({ name, tenant = '', regions = [], value = 0, title = '' }: ConsumerChange): Resource {
  return create(ResourceSchema, {
    tenant,
    regions,
    labels: { value: String(value), title },
    spec: { case: 'consumer', value: { name } },
  });
}

function many(count: number, title = ''): ConsumerChange[] {
  return Array.from({ length: count }, (_, index) => ({ name: `n${index}`, title }));
}

function seenBy(view: View, head: ConfigurationHead): ResourceState {
  return ResourceState.of([...head.state.entries()].filter(({ resource }) => sees(view, resource)));
}

function decoded(pieces: readonly Buffer[]): PullResponse[] {
  return pieces.map((bytes) => fromBinary(PullResponseSchema, bytes));
}

function announced(view: DeliveredView): Announcement {
  return fromBinary(AnnouncementSchema, view.announcement);
}

/** What a node has after it took the pieces. */
function taken(state: ResourceState, pieces: readonly Buffer[]): ResourceState {
  const all = decoded(pieces);
  const start = all[0]?.snapshot ? ResourceState.empty() : state;
  return start.with({
    changed: all.flatMap(({ changed }) => changed.map((bytes) => entryOfBytes(bytes))),
    removed: all.flatMap(({ removed }) => removed.map(keyText)),
  });
}

function contentOf(state: ResourceState) {
  return { keys: [...state.entries()].map(({ key }) => key).sort(), digest: state.digest };
}
