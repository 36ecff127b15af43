import { expect, vi } from 'vitest';
import type { ListenerKind } from '../bad-input/attacked-gateway.js';
import { RawConnection } from '../bad-input/raw-connection.js';
import { goodCall, initialize, legacyFields, post } from '../bad-input/requests.js';
import type { Fixture } from '../fixture/start.js';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from '../stories/gateway-metrics.js';
import { descendants } from '../stories/processes.js';
import type { Sessions } from './corpus.js';

/** Longer than a call may take that nobody waits for. */
const IDLE_LIMIT_MS = 20_000;

/** More than the connections that the checks themselves keep for their next request. */
const OWN_CONNECTIONS = 8;

const PATHS = ['/mcp', '/mcp/modern', '/mcp/legacy'];

/** A gateway in front of one server of each era. */
export class FuzzedGateway implements Sessions {
  private readonly sessions = new Map<string, string>();
  forBatches = '';

  private constructor(
    private readonly gateway: RunningGateway,
    private readonly children: readonly number[],
  ) {}

  static async start(
    [modern, legacy]: readonly Fixture[],
    listener: ListenerKind,
    workers = 1,
  ): Promise<FuzzedGateway> {
    const upstream = (name: string, fixture?: Fixture) => ({
      name,
      http: { url: fixture?.url },
      timeout: '3s',
    });
    const gateway = await startGateway({
      workers,
      args: ['--listener', listener],
      config: {
        gateway: {
          limits: { body_timeout: '2s', max_body_bytes: 64 * 1024 },
          sessions: { keep_alive: '1s' },
        },
        upstreams: [upstream('modern', modern), upstream('legacy', legacy)],
      },
    });
    const fuzzed = new FuzzedGateway(
      gateway,
      descendants(gateway.pid).map(({ pid }) => pid),
    );
    await fuzzed.beginSessions();
    return fuzzed;
  }

  get url(): string {
    return this.gateway.url;
  }

  at(path: string): string {
    return this.sessions.get(path) ?? '';
  }

  /** Begins new legacy sessions: those that were may have been ended by a DELETE. */
  async beginSessions(): Promise<void> {
    for (const path of PATHS) this.sessions.set(path, await this.begin(path, '2025-11-25'));
    this.forBatches = await this.begin('/mcp', '2025-03-26');
  }

  private async begin(path: string, revision: string): Promise<string> {
    const fields = legacyFields(undefined, revision);
    const begun = await this.ask(post(path, fields, JSON.stringify(initialize(revision))));
    return begun?.headers['mcp-session-id'] as string;
  }

  /** A good request succeeds, in the processes that were there at the beginning, and no exception was counted. */
  async check(after: string): Promise<void> {
    const answer = await this.ask(goodCall('/mcp/modern', 'test_simple_text'));
    expect([after, answer?.status, answer?.body]).toEqual([after, 200, expect.stringContaining('"result"')]);
    expect([after, descendants(this.gateway.pid).map(({ pid }) => pid)]).toEqual([after, this.children]);
    expect([after, await metric(this.url, 'sluice_faults_total'), this.exceptions()]).toEqual([after, 0, []]);
    await this.beginSessions();
  }

  /** Nothing of what was asked is under way any more, and nobody is connected but the checks. */
  async expectIdle(): Promise<void> {
    for (const [series, most] of [
      ['sluice_requests_in_flight', 0],
      ['sluice_connections_active', OWN_CONNECTIONS],
    ] as const) {
      // expect.poll does not work in tests that run at once.
      await vi.waitFor(async () => expect(await metric(this.url, series)).toBeLessThanOrEqual(most), {
        timeout: IDLE_LIMIT_MS,
        interval: 100,
      });
    }
  }

  stop(): Promise<void> {
    return this.gateway.stop().then(() => undefined);
  }

  /** Log lines of exceptions. */
  private exceptions(): string[] {
    return this.gateway
      .logs()
      .split('\n')
      .filter((line) => line.includes('"level":50') || line.includes('"level":60'));
  }

  private async ask(bytes: Buffer) {
    const connection = await RawConnection.open(this.url);
    connection.send(bytes);
    const answer = await connection.answer();
    connection.close();
    return answer;
  }
}
