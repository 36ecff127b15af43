/** The cases that every bus between nodes passes, whatever carries it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type BusMessage,
  type NodeBus,
  newNodeId,
  type Pipe,
  type RequestMessage,
  type WorkerAddress,
  workerAddress,
} from './node-bus.js';

/** Where nodes can be that meet each other. */
export interface BusPlace {
  /** A bus for one more node. */
  bus(): Promise<NodeBus>;
  /** Ends what the buses left behind. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

const LIMIT = { timeout: 15_000, interval: 10 };

/** A node of a test: the workers that its bus has met, and what came from each. */
export class BusNode {
  readonly node = newNodeId();
  readonly workers: readonly WorkerAddress[];
  /** By the two workers: the pipe that was given last. */
  readonly pipes = new Map<string, Pipe>();
  readonly heard: { ours: WorkerAddress; other: WorkerAddress; message: BusMessage }[] = [];
  readonly met: string[] = [];
  readonly closed: string[] = [];

  constructor(
    readonly bus: NodeBus,
    workerCount = 1,
  ) {
    this.workers = Array.from({ length: workerCount }, (_, index) => workerAddress(this.node, index));
    bus.join(this.workers, (ours, other, pipe) => {
      const pair = `${ours} ${other}`;
      this.met.push(pair);
      this.pipes.set(pair, pipe);
      pipe.onMessage((message) => this.heard.push({ ours, other, message }));
      pipe.onClose(() => this.closed.push(pair));
    });
  }

  pipeTo(other: BusNode, own = 0, theirs = 0): Pipe {
    return this.pipes.get(`${this.workers[own]} ${other.workers[theirs]}`) as Pipe;
  }

  /** The requests' lane, as far as it is from one node. */
  from(other: BusNode): RequestMessage[] {
    return this.heard
      .filter((each) => other.workers.includes(each.other))
      .map(({ message }) => message.message as RequestMessage);
  }
}

export const ofRequests = (message: RequestMessage): BusMessage => ({ lane: 'requests', message });
const end = (id: number): BusMessage => ofRequests({ type: 'end', id });

/** @param open prepares what carries the bus. */
export function nodeBusCases(name: string, open: () => Promise<BusPlace>): void {
  describe(`${name}, as a bus between nodes`, () => {
    let place: BusPlace;
    let nodes: BusNode[] = [];

    beforeAll(async () => {
      place = await open();
    });
    afterEach(async () => {
      for (const { bus } of nodes) bus.leave();
      nodes = [];
      await place.clear();
    });
    afterAll(() => place?.close());

    async function begin(...workerCounts: number[]): Promise<BusNode[]> {
      const begun: BusNode[] = [];
      for (const count of workerCounts) begun.push(new BusNode(await place.bus(), count));
      nodes.push(...begun);
      const allCount = nodes.reduce((sum, { workers }) => sum + workers.length, 0);
      for (const node of nodes) {
        const expected = (allCount - node.workers.length) * node.workers.length;
        await expect.poll(() => node.met.length, LIMIT).toBe(expected);
      }
      return begun;
    }

    it('introduces each worker to each of the other nodes, once', async () => {
      const [a, b, c] = (await begin(2, 1, 2)) as [BusNode, BusNode, BusNode];
      for (const [node, others] of [
        [a, [b, c]],
        [b, [a, c]],
        [c, [a, b]],
      ] as const) {
        const expected = node.workers.flatMap((own) =>
          others.flatMap(({ workers }) => workers.map((other) => `${own} ${other}`)),
        );
        expect([...node.met].sort()).toEqual(expected.sort());
      }
    });

    it('introduces a node that comes later', async () => {
      const [a] = (await begin(1, 1)) as [BusNode];
      const [late] = (await begin(1)) as [BusNode];
      late.pipeTo(a).post(end(1));
      await expect.poll(() => a.from(late), LIMIT).toEqual([{ type: 'end', id: 1 }]);
    });

    it('carries every kind of message as it is', async () => {
      const [a, b] = (await begin(1, 1)) as [BusNode, BusNode];
      const every = Uint8Array.from({ length: 256 }, (_, index) => index);
      const messages: BusMessage[] = [
        ofRequests({
          type: 'request',
          id: 1,
          head: {
            method: 'POST',
            path: '/mcp',
            query: 'a=b',
            headers: { accept: 'text/event-stream', 'x-name': 'Zo\u00eb' },
            repeated: ['accept'],
            remoteAddress: '192.0.2.1',
            principal: 'ada',
          },
          body: every,
        }),
        ofRequests({ type: 'begin', id: 1, status: 200, headers: [['content-type', 'text/plain']] }),
        ofRequests({ type: 'write', id: 1, chunk: 'a text with \u20ac and \n"quotes"' }),
        ofRequests({ type: 'write', id: 1, chunk: every.subarray(3, 9) }),
        ofRequests({ type: 'write', id: 1, chunk: '' }),
        ofRequests({ type: 'send', id: 2, status: 202, headers: [], body: new Uint8Array(0) }),
        ofRequests({ type: 'abort', id: 2 }),
        { lane: 'upstreams', message: { type: 'call', id: 3, upstreamId: 'u', method: 'm', bytes: every } },
        {
          lane: 'upstreams',
          message: { type: 'failed', id: 3, failure: { code: -1, message: 'no', data: [] } },
        },
      ];
      for (const message of messages) a.pipeTo(b).post(message);
      await expect.poll(() => b.heard.length, LIMIT).toBe(messages.length);
      expect(b.heard.map(({ message }) => message)).toEqual(
        messages.map((message) => structuredClone(message)),
      );
    });

    it('keeps the order of each pipe, in both directions at once', async () => {
      const [a, b] = (await begin(2, 2)) as [BusNode, BusNode];
      const count = 500;
      for (let id = 0; id < count; id++) {
        for (const own of [0, 1])
          for (const theirs of [0, 1]) {
            a.pipeTo(b, own, theirs).post(end(id));
            b.pipeTo(a, own, theirs).post(end(id));
          }
      }
      for (const node of [a, b]) {
        await expect.poll(() => node.heard.length, LIMIT).toBe(4 * count);
        for (const pair of node.met) {
          const ids = node.heard
            .filter(({ ours, other }) => `${ours} ${other}` === pair)
            .map(({ message }) => (message.message as { id: number }).id);
          expect(ids).toEqual(Array.from({ length: count }, (_, id) => id));
        }
      }
    });

    it('carries what is larger than any packet, and what is said after it', async () => {
      const [a, b] = (await begin(1, 1)) as [BusNode, BusNode];
      const body = new Uint8Array(20 * 1_024 * 1_024).map((_, index) => index % 251);
      a.pipeTo(b).post(ofRequests({ type: 'send', id: 1, status: 200, headers: [], body }));
      a.pipeTo(b).post(end(2));
      await expect.poll(() => b.heard.length, LIMIT).toBe(2);
      const [first, second] = b.from(a);
      expect(Buffer.compare((first as { body: Uint8Array }).body, body)).toBe(0);
      expect(second).toEqual({ type: 'end', id: 2 });
    });

    it('closes at both ends when one closes, after what was said before', async () => {
      const [a, b, c] = (await begin(1, 1, 1)) as [BusNode, BusNode, BusNode];
      a.pipeTo(b).post(end(1));
      a.pipeTo(b).close();
      a.pipeTo(b).post(end(2));
      await expect.poll(() => [a.closed.length, b.closed.length], LIMIT).toEqual([1, 1]);
      expect(b.from(a)).toEqual([{ type: 'end', id: 1 }]);
      c.pipeTo(a).post(end(3));
      await expect.poll(() => a.from(c), LIMIT).toEqual([{ type: 'end', id: 3 }]);
    });

    it('closes every pipe of a node that leaves, and no other', async () => {
      const [a, b, c] = (await begin(2, 1, 1)) as [BusNode, BusNode, BusNode];
      a.bus.leave();
      await expect.poll(() => [a, b, c].map(({ closed }) => closed.length), LIMIT).toEqual([4, 2, 2]);
      b.pipeTo(c).post(end(1));
      await expect.poll(() => c.from(b), LIMIT).toEqual([{ type: 'end', id: 1 }]);
    });
  });
}
