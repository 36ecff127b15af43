/** Looks at what nodes serve, all the time: which change each is of. */
import { setTimeout as sleep } from 'node:timers/promises';
import { lastMessage, postModern } from '../stories/raw-http.js';
import type { ChaosCluster, ChaosNode } from './chaos-cluster.js';
import type { Tally } from './tally.js';
import { SERVER_PATH, type Writer } from './writer.js';

const PAUSE_MS = 50;
const TIMEOUT_MS = 2_000;

export class Looks {
  /** What each node served last. */
  private readonly served = new Map<string, number>();
  /** What was served at all, by whom first. */
  private readonly seen = new Map<number, string>();
  private isEnding = false;
  private done: Promise<unknown> | undefined;

  constructor(
    private readonly cluster: ChaosCluster,
    private readonly tally: () => Tally,
  ) {}

  begin(): void {
    this.done = Promise.all(this.cluster.nodes.map((node) => this.follow(node)));
  }

  async end(): Promise<void> {
    this.isEnding = true;
    await this.done;
  }

  /** Resolves when every node serves that change or a later one; with false when that takes too long. */
  async untilAllServe(number: number, limitMs: number): Promise<boolean> {
    const deadline = performance.now() + limitMs;
    while (!this.cluster.nodes.every(({ name }) => (this.served.get(name) ?? -1) >= number)) {
      if (performance.now() > deadline) return false;
      await sleep(PAUSE_MS / 2);
    }
    return true;
  }

  /** Says of every change that was ever served whether it was committed. */
  async judge(writer: Writer): Promise<string[]> {
    const committed = await writer.committed();
    return [...this.seen]
      .filter(([number]) => !committed.has(number))
      .map(([number, node]) => `${node} served change ${number}, which was never committed`);
  }

  private async follow(node: ChaosNode): Promise<void> {
    let lifeCount = 0;
    while (!this.isEnding) {
      // One that was killed begins with what it had written to its disk by then.
      if (node.lifeCount !== lifeCount) this.served.delete(node.name);
      lifeCount = node.lifeCount;
      const number = node.isUp ? await servedBy(node) : undefined;
      if (node.lifeCount !== lifeCount) continue;
      const tally = this.tally();
      if (number !== undefined) {
        tally.lookCount++;
        const before = this.served.get(node.name) ?? -1;
        if (number < before) tally.wrongStates.push(`${node.name} went from change ${before} to ${number}`);
        this.served.set(node.name, number);
        if (!this.seen.has(number)) this.seen.set(number, node.name);
      }
      await sleep(PAUSE_MS);
    }
  }
}

/** Undefined when it does not answer, or has no tools just now. */
async function servedBy({ url }: ChaosNode): Promise<number | undefined> {
  try {
    const response = await Promise.race([postModern(`${url}${SERVER_PATH}`, 'tools/list'), late()]);
    const { result } = await lastMessage(response);
    const description = result?.tools?.[0]?.description as string | undefined;
    const [, number] = /^change (\d+)$/.exec(description ?? '') ?? [];
    return number === undefined ? undefined : Number(number);
  } catch {
    return undefined;
  }
}

async function late(): Promise<never> {
  await sleep(TIMEOUT_MS, undefined, { ref: false });
  throw new Error(`no answer within ${TIMEOUT_MS} ms`);
}
