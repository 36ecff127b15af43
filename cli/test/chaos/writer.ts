/** Changes the configuration again and again, and knows what was committed. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromJson } from '@bufbuild/protobuf';
import { ResourceSchema } from '@sluice/proto/cluster';
import type { ChaosCluster } from './chaos-cluster.js';
import type { Tally } from './tally.js';

const PAUSE_MS = 200;
const TIMEOUT_MS = 3_000;
const LOOK_MS = 10;
/** What begins the message of each revision; the number of the change follows. */
const MESSAGE = 'change ';
export const SERVER_PATH = '/mcp/marked';

export class Writer {
  private next = 1;
  /** Numbers of changes of which it is known that they hold, or did. */
  private readonly known = new Set<number>();
  private newestNow = 0;
  private isEnding = false;
  private done: Promise<void> | undefined;

  constructor(
    private readonly cluster: ChaosCluster,
    private readonly tally: () => Tally,
  ) {}

  /** Resolves with the first change that begins from now on and is committed; undefined when there is none in time. */
  async nextCommitted(limitMs: number): Promise<number | undefined> {
    const first = this.next;
    const deadline = performance.now() + limitMs;
    while (this.newestNow < first) {
      if (performance.now() > deadline) return undefined;
      await sleep(LOOK_MS);
    }
    return this.newestNow;
  }

  /** The first configuration. */
  async begin(): Promise<void> {
    const { admin, upstreamUrl } = this.cluster;
    const upstream = fromJson(ResourceSchema, { upstream: { name: 'plain', http: { url: upstreamUrl } } });
    await admin.configuration.apply({
      resources: [upstream, marked(0)],
      options: { message: `${MESSAGE}0`, wait: 'all', deadline: { seconds: 30n } },
    });
    this.known.add(0);
    this.done = this.run();
  }

  async end(): Promise<void> {
    this.isEnding = true;
    await this.done;
  }

  /** Every change that the history knows of, whatever became of the answer to its writer. */
  async committed(): Promise<ReadonlySet<number>> {
    const committed = new Set(this.known);
    let pageToken = '';
    do {
      const page = await this.cluster.admin.configuration.history({ pageSize: 1_000, pageToken });
      for (const { message } of page.revisions)
        if (message.startsWith(MESSAGE)) committed.add(Number(message.slice(MESSAGE.length)));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return committed;
  }

  private async run(): Promise<void> {
    while (!this.isEnding) {
      const number = this.next++;
      try {
        await this.cluster.admin.configuration.apply(
          {
            resources: [marked(number)],
            options: { message: `${MESSAGE}${number}`, idempotencyKey: randomUUID() },
          },
          { timeoutMs: TIMEOUT_MS },
        );
        this.known.add(number);
        this.newestNow = number;
        this.tally().writeCount++;
      } catch {
        this.tally().refusedWriteCount++;
      }
      await sleep(PAUSE_MS);
    }
  }
}

/** A virtual server that says which change it is of. */
function marked(number: number) {
  const tools = [{ upstream: 'plain', name: 'echo', description: `change ${number}` }];
  return fromJson(ResourceSchema, { virtualServer: { name: 'marked', path: SERVER_PATH, tools } });
}
