/**
 * What replicas of the control plane know together of nodes, in the store: which there are, so that none is forgotten
 * when replicas start anew; what each replica hears of those that have their stream to it; orders to nodes that have
 * theirs elsewhere, and what those answer.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type ConnectionList,
  ConnectionListSchema,
  HealthSchema,
  HeardNodeSchema,
  type HeardNodes,
  HeardNodesSchema,
  HelloSchema,
  KeptNodeSchema,
  type Order,
  OrderSchema,
  Presence,
} from '@sluice/proto/cluster';
import type { Logger } from 'pino';
import type { KeptRecord, Records, RecordWatch } from '../store/records.js';
import { SYSTEM_TIMING, type Timing } from '../timing.js';
import type { Fleet } from './fleet.js';
import type { KnownNode } from './known-node.js';

const NODES = 'nodes';
const HEARD = 'heard';
const ORDERS = 'orders';
const ANSWERS = 'answers';

/** Many nodes speak at once: what they say is written when it has come in. */
const WRITE_AFTER_MS = 100;
/** What could not be written is tried again. */
const RETRY_AFTER_MS = 2_000;
/** A replica that has not said for so long that it lives hears nobody. */
const HEARD_TTL_MS = 6_000;
/** An order that nobody could give by then is given no more. */
const ORDER_TTL_MS = 30_000;
/** Of nodes in one record of what is heard, so that it stays small. */
const NODES_IN_RECORD_COUNT = 500;

export interface SharedFleetOptions {
  readonly fleet: Fleet;
  readonly records: Records;
  readonly log: Logger;
  /** There are other replicas: they are told what is heard here, and give orders to nodes that have their stream there. */
  readonly hasPeers: boolean;
  readonly timing?: Timing | undefined;
}

export class SharedFleet {
  private readonly timing: Timing;
  private readonly replica: string;
  private readonly endings: (() => void)[] = [];
  /** Versions of records of nodes, by key: what has one of them was taken in, or written, here. */
  private readonly versions = new Map<string, string>();
  private readonly textWritten = new Map<string, string>();
  private readonly unwritten = new Map<string, KnownNode>();
  /** What others hear, as the store has it; forgotten while the store is away. */
  private elsewhere: readonly HeardNodes[] = [];
  private readonly heardWritten = new Map<string, { readonly text: string; readonly version: string }>();
  private nameInWriting: string | undefined;
  /** What nobody has given yet, as the store has it. */
  private orders: readonly KeptRecord[] = [];
  /** Nodes that were asked for others, by what their answer has to name. */
  private readonly askedForOthers = new Map<string, { readonly node: string; readonly forget: () => void }>();
  private endWrite: (() => void) | undefined;
  private writing: Promise<void> | undefined;
  private isAway = false;
  private isClosed = false;

  constructor(private readonly options: SharedFleetOptions) {
    this.timing = options.timing ?? SYSTEM_TIMING;
    this.replica = this.timing.newId();
  }

  /** Resolves when the nodes that the store knows are known here. */
  async start(): Promise<void> {
    const { fleet, records, log, hasPeers } = this.options;
    try {
      this.recall(await records.list(NODES), Presence.UNKNOWN);
    } catch (error) {
      log.warn({ err: error }, 'which nodes there were could not be read yet');
    }
    const watches: RecordWatch[] = [
      records.watch(NODES, { records: (all) => this.recall(all, Presence.PRESENT) }),
    ];
    this.endings.push(() => {
      for (const watch of watches) watch.close();
    });
    this.endings.push(fleet.onChange((node) => this.changed(node)));
    if (!hasPeers) return;
    watches.push(
      records.watch(HEARD, {
        records: (all) => this.hear(all),
        // What was heard before tells nothing of now.
        reachable: (isReachable) => {
          if (!isReachable) this.elsewhere = [];
        },
      }),
      records.watch(ORDERS, {
        records: (all) => {
          this.orders = all;
          void this.giveOrders(all);
        },
      }),
      records.watch(ANSWERS, { records: (all) => void this.takeAnswers(all) }),
    );
    this.endings.push(this.timing.every(fleet.healthIntervalMs, () => void this.stayHeard()));
  }

  /** Has the replica that a node has its stream to give it an order; false when nobody says that it has. */
  async order(node: string, order: Order): Promise<boolean> {
    const isHeard = this.elsewhere.some(({ nodes }) => nodes.some(({ health }) => health?.node === node));
    if (!isHeard) return false;
    const value = toBinary(OrderSchema, order);
    await this.options.records.put(ORDERS, node, value, { expected: 'any', ttlMs: ORDER_TTL_MS });
    return true;
  }

  /** Leaves the answer of a node for the replica that asked by way of this one. */
  answer(list: ConnectionList): void {
    const { records, log } = this.options;
    const asked = this.askedForOthers.get(list.request);
    if (asked?.node !== list.node) return;
    asked.forget();
    this.askedForOthers.delete(list.request);
    const value = toBinary(ConnectionListSchema, list);
    records.put(ANSWERS, list.request, value, { expected: 'any', ttlMs: ORDER_TTL_MS }).catch((error) => {
      log.warn({ err: error, node: list.node }, 'the answer of a node could not be passed on');
    });
  }

  /** Writes what is not written yet, and says that nobody is heard here any more. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const end of this.endings) end();
    for (const { forget } of this.askedForOthers.values()) forget();
    this.endWrite?.();
    await this.writing;
    await this.write();
    const { records } = this.options;
    for (const [key, { version }] of this.heardWritten)
      await records.delete(HEARD, key, version).catch(() => false);
  }

  private recall(all: readonly KeptRecord[], presence: Presence): void {
    for (const { key, value, version } of all) {
      // What is about to be written here is newer.
      if (this.versions.get(key) === version || this.unwritten.has(key) || this.nameInWriting === key)
        continue;
      this.versions.set(key, version);
      try {
        const { hello, region, tenants, allTenants, gone } = fromBinary(KeptNodeSchema, value);
        if (hello === undefined) continue;
        this.options.fleet.recalled({
          hello,
          seen: { region, tenants: allTenants ? undefined : tenants },
          presence: gone ? Presence.GONE : presence,
        });
      } catch (error) {
        this.options.log.warn({ err: error, node: key }, 'what is kept of a node cannot be used');
      }
    }
  }

  private changed(node: KnownNode): void {
    this.unwritten.set(node.hello.node, node);
    this.writeSoon(WRITE_AFTER_MS);
  }

  private writeSoon(afterMs: number): void {
    if (this.endWrite !== undefined || this.isClosed) return;
    this.endWrite = this.timing.after(afterMs, () => {
      this.writing = this.write().finally(() => {
        this.endWrite = undefined;
        if (this.unwritten.size > 0) this.writeSoon(this.isAway ? RETRY_AFTER_MS : WRITE_AFTER_MS);
      });
    });
  }

  private async write(): Promise<void> {
    try {
      for (const [name, node] of [...this.unwritten]) {
        // It may change again meanwhile, and stands there anew then.
        this.unwritten.delete(name);
        this.nameInWriting = name;
        try {
          await this.writeNode(name, node);
        } catch (error) {
          if (!this.unwritten.has(name)) this.unwritten.set(name, node);
          throw error;
        } finally {
          this.nameInWriting = undefined;
        }
      }
      if (this.options.hasPeers && !this.isClosed) await this.writeHeard();
      this.isAway = false;
    } catch (error) {
      if (!this.isAway) this.options.log.debug({ err: error }, 'what is known of nodes cannot be kept now');
      this.isAway = true;
    }
  }

  private async writeNode(name: string, node: KnownNode): Promise<void> {
    const { fleet, records } = this.options;
    if (!fleet.knows(name)) {
      const version = this.versions.get(name);
      if (version !== undefined) await records.delete(NODES, name, version);
      this.versions.delete(name);
      this.textWritten.delete(name);
      return;
    }
    const { position: _, ...hello } = node.hello;
    const { region, tenants } = node.view.view;
    const value = toBinary(
      KeptNodeSchema,
      create(KeptNodeSchema, {
        hello: create(HelloSchema, hello),
        region,
        tenants: [...(tenants ?? [])],
        allTenants: tenants === undefined,
        gone: node.presence === Presence.GONE,
      }),
    );
    const text = Buffer.from(value).toString('base64');
    if (this.textWritten.get(name) === text) return;
    const version = await records.put(NODES, name, value, { expected: 'any' });
    if (version !== undefined) this.versions.set(name, version);
    this.textWritten.set(name, text);
  }

  /** One record, or several where there are very many nodes. */
  private async writeHeard(): Promise<void> {
    const { isRollout } = this.options.fleet;
    const nodes = [...this.options.fleet.heardHere()].map(({ hello, health, running, acknowledgement }) =>
      create(HeardNodeSchema, {
        health: {
          // While a rollout is on, whoever drives it needs to know what all nodes count.
          ...(isRollout && health ? health : create(HealthSchema)),
          node: hello.node,
          incarnation: hello.incarnation,
          ...(running && { position: running }),
        },
        ...(acknowledgement && { acknowledgement }),
      }),
    );
    const partsCount = Math.max(this.heardWritten.size, Math.ceil(nodes.length / NODES_IN_RECORD_COUNT));
    for (let part = 0; part < partsCount; part++) {
      const some = nodes.slice(part * NODES_IN_RECORD_COUNT, (part + 1) * NODES_IN_RECORD_COUNT);
      const value = toBinary(HeardNodesSchema, create(HeardNodesSchema, { nodes: some }));
      const [key, text] = [`${this.replica}.${part}`, Buffer.from(value).toString('base64')];
      if (this.heardWritten.get(key)?.text === text) continue;
      const version = await this.options.records.put(HEARD, key, value, {
        expected: 'any',
        ttlMs: HEARD_TTL_MS,
      });
      if (version !== undefined) this.heardWritten.set(key, { text, version });
    }
  }

  /** What is heard here stays said, and what others hear is heard. */
  private async stayHeard(): Promise<void> {
    this.takeElsewhere();
    // A node that was between two streams may be here now.
    void this.giveOrders(this.orders);
    try {
      for (const [key, { version }] of this.heardWritten)
        if (!(await this.options.records.keep(HEARD, key, version))) this.heardWritten.delete(key);
      const isUnwritten = this.heardWritten.size === 0 && [...this.options.fleet.heardHere()].length > 0;
      if (isUnwritten || this.options.fleet.isRollout) await this.writeHeard();
    } catch {
      // The watches tell that the store is away.
    }
  }

  private hear(all: readonly KeptRecord[]): void {
    this.elsewhere = all
      .filter(({ key }) => !key.startsWith(this.replica))
      .map(({ value }) => fromBinary(HeardNodesSchema, value));
    this.takeElsewhere();
  }

  private takeElsewhere(): void {
    for (const { nodes } of this.elsewhere)
      for (const { health, acknowledgement } of nodes)
        if (health !== undefined) this.options.fleet.heardElsewhere(health, acknowledgement);
  }

  /** Whoever deletes an order gives it, so it is given once. */
  private async giveOrders(all: readonly KeptRecord[]): Promise<void> {
    const { fleet, records, log } = this.options;
    const here = new Set([...fleet.heardHere()].map(({ hello }) => hello.node));
    for (const { key, value, version } of all) {
      if (!here.has(key)) continue;
      try {
        if (!(await records.delete(ORDERS, key, version))) continue;
        const order = fromBinary(OrderSchema, value);
        if (order.what.case === 'listConnections') this.expectAnswer(key, order.what.value.request);
        fleet.orderHere(key, order);
      } catch (error) {
        log.warn({ err: error, node: key }, 'an order could not be given to a node');
      }
    }
  }

  private expectAnswer(node: string, request: string): void {
    const forget = this.timing.after(ORDER_TTL_MS, () => this.askedForOthers.delete(request));
    this.askedForOthers.set(request, { node, forget });
  }

  private async takeAnswers(all: readonly KeptRecord[]): Promise<void> {
    const { fleet, records, log } = this.options;
    for (const { key, value, version } of all) {
      try {
        if (fleet.listedElsewhere(fromBinary(ConnectionListSchema, value)))
          await records.delete(ANSWERS, key, version);
      } catch (error) {
        log.warn({ err: error }, 'the answer of a node could not be taken');
      }
    }
  }
}
