/**
 * Revisions in etcd 3.4 or later, for a control plane of several processes. The keys below `/sluice/<cluster>/`:
 *
 * - `store`: the name of the store
 * - `head`: number and id of the newest revision, as `<number>/<id>`
 * - `checkpoint`, `revision/<number, padded>`: values that may lie in chunks
 * - `chunk/<id>/<index>`, `upload/<id>`: see etcd-values.ts
 *
 * Every write is one transaction that compares `store` and what it builds upon.
 */
import { randomUUID } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Checkpoint, CheckpointSchema, type Revision, RevisionSchema } from '@sluice/proto/cluster';
import type { ICompare, IKeyValue, IRequestOp } from 'etcd3';
import { EtcdClient, type EtcdOptions } from './etcd-client.js';
import { AFTER_SLASH, prepareValue, readValue } from './etcd-values.js';
import { EtcdWatch, type News } from './etcd-watch.js';
import {
  type AppendOutcome,
  encodedRevision,
  type LogContent,
  type LogListener,
  type LogWatch,
  type RevisionLog,
  StoreUnavailableError,
} from './revision-log.js';

const STORE = 'store';
const HEAD = 'head';
const CHECKPOINT = 'checkpoint';
const ALL_REVISIONS = 'revision/';
const AFTER_REVISIONS = `revision${AFTER_SLASH}`;

/** Digits of the largest number that is a safe integer. */
const NUMBER_DIGITS = String(Number.MAX_SAFE_INTEGER).length;

export class EtcdLog implements RevisionLog {
  private readonly watches = new Set<EtcdWatch>();
  private readonly client: EtcdClient;

  /** Connects when it is used first. */
  constructor(options: EtcdOptions) {
    this.client = new EtcdClient(options);
  }

  read(): Promise<LogContent> {
    return this.client.atOneMoment(() => this.readOnce());
  }

  private async readOnce(): Promise<LogContent> {
    const { at, values } = await this.client.get(STORE, HEAD, CHECKPOINT);
    const [store, head, checkpoint] = values;
    if (store === undefined && head === undefined && checkpoint === undefined) {
      await this.begin();
      return this.readOnce();
    }
    if (store === undefined || head === undefined || checkpoint === undefined)
      throw this.client.damaged('not all of the keys store, head and checkpoint are there');
    const content = {
      checkpoint: fromBinary(CheckpointSchema, await readValue(this.client, checkpoint, at)),
      revisions: await this.decode(
        (await this.client.list(ALL_REVISIONS, AFTER_REVISIONS, { at })).found,
        at,
      ),
    };
    const oldest = Number(content.checkpoint.revision);
    const isWhole = content.revisions.every(({ number }, index) => Number(number) === oldest + index + 1);
    if (!isWhole || oldest + content.revisions.length !== headIn(head).number)
      throw this.client.damaged(`the revisions from ${oldest} to ${headIn(head).number} are not all there`);
    if (content.checkpoint.storeId !== store.value.toString())
      throw this.client.damaged('the checkpoint is of another store');
    return content;
  }

  /** Gives a new store its name, unless somebody else did. */
  private async begin(): Promise<void> {
    const storeId = randomUUID();
    const bytes = toBinary(CheckpointSchema, create(CheckpointSchema, { storeId }));
    const value = await prepareValue(this.client, CHECKPOINT, bytes);
    await this.client.transact(
      [STORE, HEAD, CHECKPOINT].map((name) => this.client.isOf(name, 0)),
      [this.client.put(STORE, storeId), this.client.put(HEAD, `0/${storeId}`), ...value.operations],
    );
  }

  async append(revision: Revision, storeId: string, afterId: string | undefined): Promise<AppendOutcome> {
    const bytes = encodedRevision(revision);
    const number = Number(revision.number);
    const before = await this.headOf(storeId);
    if (before.number !== number - 1) return { appended: false, head: before.number };
    if (afterId !== undefined && before.text !== `${number - 1}/${afterId}`) throw this.client.replaced();
    const isDone = await this.write(
      nameOfRevision(number),
      bytes,
      [this.client.holds(STORE, storeId), this.client.holds(HEAD, before.text)],
      [this.client.put(HEAD, `${number}/${revision.id}`)],
    );
    if (isDone) return { appended: true };
    const now = await this.headOf(storeId);
    if (now.text === before.text)
      throw new StoreUnavailableError('the revision was too long on its way to etcd');
    return { appended: false, head: now.number };
  }

  private async headOf(storeId: string): Promise<Head> {
    const [store, head] = (await this.client.get(STORE, HEAD)).values;
    if (store?.value.toString() !== storeId) throw this.client.replaced();
    if (head === undefined) throw this.client.damaged('the key head is not there');
    return headIn(head);
  }

  /** Writes a value of any size, with all that goes with it, if that is still so what was. */
  private async write(
    name: string,
    bytes: Uint8Array,
    compare: ICompare[],
    operations: IRequestOp[],
  ): Promise<boolean> {
    const value = await prepareValue(this.client, name, bytes);
    const { succeeded } = await this.client.transact(
      [...compare, ...value.compare],
      [...operations, ...value.operations],
    );
    await value.settle(succeeded);
    return succeeded;
  }

  watch(after: number, listener: LogListener, storeId: string): LogWatch {
    const watch = new EtcdWatch(
      after,
      listener,
      this.client,
      (last, head) => this.client.atOneMoment(() => this.since(last, head, storeId)),
      () => this.watches.delete(watch),
    );
    this.watches.add(watch);
    return watch;
  }

  /**
   * Revisions after one, or why they are not known.
   *
   * @param known the head when the last one was read
   */
  private async since(last: number, known: string | undefined, storeId: string): Promise<News | string> {
    const { at, values } = await this.client.get(STORE, HEAD);
    const [store, headValue] = values;
    if (store?.value.toString() !== storeId || headValue === undefined)
      return 'the store has another name than it had';
    const head = headIn(headValue);
    if (head.text === known) return { at, head: known, revisions: [] };
    if (head.number < last) return `the store is at revision ${head.number} and was at ${last}`;
    const from = nameOfRevision(known === undefined ? last + 1 : last);
    const { found } = await this.client.list(from, AFTER_REVISIONS, { at });
    const revisions = await this.decode(found, at);
    const lastAgain = Number(revisions[0]?.number) === last ? revisions.shift() : undefined;
    const isOther = lastAgain !== undefined && `${last}/${lastAgain.id}` !== known;
    if (isOther || (known !== undefined && head.number === last))
      return `revision ${last} is another than it was: an older state of the store was put back`;
    if (revisions.length !== head.number - last) return `revisions after ${last} are forgotten`;
    return { at, head: head.text, revisions };
  }

  async history(before: number, limitCount: number): Promise<readonly Revision[]> {
    if (before <= 1 || limitCount <= 0) return [];
    return this.client.atOneMoment(() => this.historyOnce(before, limitCount));
  }

  private async historyOnce(before: number, limitCount: number): Promise<readonly Revision[]> {
    const { at, found } = await this.client.list(ALL_REVISIONS, nameOfRevision(before), {
      limitCount,
      isNewestFirst: true,
    });
    return this.decode(found, at);
  }

  compact(checkpoint: Checkpoint): Promise<void> {
    return this.client.atOneMoment(() => this.compactOnce(checkpoint));
  }

  private async compactOnce(checkpoint: Checkpoint): Promise<void> {
    const { at, values } = await this.client.get(STORE, HEAD, CHECKPOINT);
    const [store, head, present] = values;
    if (store?.value.toString() !== checkpoint.storeId || head === undefined || present === undefined) return;
    const { revision: oldest } = fromBinary(CheckpointSchema, await readValue(this.client, present, at));
    if (oldest >= checkpoint.revision || headIn(head).number < Number(checkpoint.revision)) return;
    const isDone = await this.write(
      CHECKPOINT,
      toBinary(CheckpointSchema, checkpoint),
      [this.client.holds(STORE, checkpoint.storeId), this.client.isOf(CHECKPOINT, present.mod_revision)],
      [this.client.delete(ALL_REVISIONS, nameOfRevision(Number(checkpoint.revision) + 1))],
    );
    // Somebody else was faster, perhaps with an older one.
    if (!isDone) await this.compactOnce(checkpoint);
  }

  async replace(checkpoint: Checkpoint, instead: string): Promise<boolean> {
    const { storeId, revision } = checkpoint;
    return this.write(
      CHECKPOINT,
      toBinary(CheckpointSchema, checkpoint),
      [this.client.holds(STORE, instead)],
      [
        this.client.put(STORE, storeId),
        this.client.put(HEAD, `${revision}/${storeId}`),
        this.client.delete(ALL_REVISIONS, AFTER_REVISIONS),
      ],
    );
  }

  async close(): Promise<void> {
    for (const watch of this.watches) watch.close();
    this.client.close();
  }

  private async decode(found: readonly IKeyValue[], at: string): Promise<Revision[]> {
    const revisions: Revision[] = [];
    for (const each of found)
      revisions.push(fromBinary(RevisionSchema, await readValue(this.client, each, at)));
    return revisions;
  }
}

interface Head {
  readonly number: number;
  readonly text: string;
}

function headIn({ value }: IKeyValue): Head {
  const text = value.toString();
  return { number: Number.parseInt(text, 10), text };
}

function nameOfRevision(number: number): string {
  return `${ALL_REVISIONS}${String(number).padStart(NUMBER_DIGITS, '0')}`;
}
