import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from '../stories/gateway-metrics.js';
import { descendants } from '../stories/processes.js';
import { type MisbehavingServer, startMisbehavingServer } from './misbehaving-server.js';
import { type RawAnswer, RawConnection } from './raw-connection.js';
import { goodCall } from './requests.js';

export const LISTENERS = ['uws', 'node'] as const;
export type ListenerKind = (typeof LISTENERS)[number];

/** Limits of the gateway under test; small, so that little has to be sent to pass them. */
export const LIMITS = {
  bodyBytes: 64 * 1024,
  headerBytes: 8 * 1024,
  urlBytes: 1024,
  bodyTimeoutMs: 1_500,
  pendingReplyBytes: 1024 * 1024,
  messageBytes: 1024 * 1024,
  upstreamTimeoutMs: 1_500,
};

/** A gateway in front of servers that misbehave when told to. */
export class AttackedGateway {
  private constructor(
    private readonly gateway: RunningGateway,
    readonly modern: MisbehavingServer,
    readonly legacy: MisbehavingServer,
    /** Where redirects lead; nothing may come here. */
    readonly elsewhere: MisbehavingServer,
    private readonly children: readonly number[],
  ) {}

  static async start(listener: ListenerKind): Promise<AttackedGateway> {
    const elsewhere = await startMisbehavingServer('modern');
    const [modern, legacy] = await Promise.all([
      startMisbehavingServer('modern', elsewhere.url),
      startMisbehavingServer('legacy', elsewhere.url),
    ]);
    const limits = {
      max_message_bytes: LIMITS.messageBytes,
      timeout: `${LIMITS.upstreamTimeoutMs / 1000}s`,
    };
    const gateway = await startGateway({
      args: ['--listener', listener],
      config: {
        gateway: {
          limits: {
            max_body_bytes: LIMITS.bodyBytes,
            max_header_bytes: LIMITS.headerBytes,
            max_url_bytes: LIMITS.urlBytes,
            body_timeout: `${LIMITS.bodyTimeoutMs / 1000}s`,
            max_pending_reply_bytes: LIMITS.pendingReplyBytes,
          },
        },
        upstreams: [
          { name: 'modern', http: { url: modern.url }, ...limits },
          { name: 'legacy', http: { url: legacy.url }, ...limits },
        ],
      },
    });
    const children = descendants(gateway.pid).map(({ pid }) => pid);
    const attacked = new AttackedGateway(gateway, modern, legacy, elsewhere, children);
    await attacked.expectServes();
    return attacked;
  }

  get url(): string {
    return this.gateway.url;
  }

  /** Sends the bytes on a connection of their own and waits for the answer, or the end of the connection. */
  async ask(bytes: string | Buffer): Promise<RawAnswer | undefined> {
    const connection = await RawConnection.open(this.url);
    connection.send(bytes);
    const answer = await connection.answer();
    connection.close();
    return answer;
  }

  /** A good call on a new connection succeeds, in the same processes, and no exception was counted. */
  async expectServes(): Promise<void> {
    const answer = await this.ask(goodCall('/mcp/modern', 'good'));
    expect([answer?.status, answer?.body]).toEqual([200, expect.stringContaining('"text":"fine"')]);
    expect(descendants(this.gateway.pid).map(({ pid }) => pid)).toEqual(this.children);
    expect(await metric(this.url, 'sluice_faults_total')).toBe(0);
  }

  /** What has reached the servers since the last time this was asked, calls of {@link expectServes} left out. */
  takeReached() {
    const all = [this.modern, this.legacy, this.elsewhere].flatMap(({ reached }) => reached.splice(0));
    return all.filter(({ tool }) => tool !== 'good');
  }

  /** Memory of all its processes. */
  residentBytes(): number {
    const pages = [this.gateway.pid, ...this.children].map((pid) =>
      Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
    );
    return pages.reduce((sum, each) => sum + each, 0) * 1024;
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    await Promise.all([this.modern, this.legacy, this.elsewhere].map((server) => server.stop()));
  }
}

/** The JSON-RPC error in an answer. */
export function errorOf(answer: RawAnswer | undefined): { code: number; message: string; data?: unknown } {
  const text = Buffer.from(answer?.body ?? '', 'latin1').toString();
  const { error } = JSON.parse(text) as { error?: { code: number; message: string } };
  if (error === undefined) throw new Error(`Not an error: ${text.slice(0, 500)}`);
  return error;
}
