import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { KeptConnection } from './kept-connection.js';
import type { Shared } from './shared-connection.js';

/** Long enough for a connection to count as healthy. */
const HEALTHY_MS = 60_001;

describe('a connection that is kept', () => {
  let made: { closeCount: number }[];
  /** Thrown by the next attempts. */
  let failure: RpcError | undefined;
  let kept: KeptConnection;

  beforeEach(() => {
    vi.useFakeTimers();
    made = [];
    failure = undefined;
    kept = new KeptConnection({
      name: 'files',
      backoffMaxMs: 30_000,
      connect: async () => {
        if (failure !== undefined) throw failure;
        const shared = { closeCount: 0, close: async () => void shared.closeCount++ };
        made.push(shared);
        return shared as unknown as Shared;
      },
    });
  });
  afterEach(() => vi.useRealTimers());

  /** Lets it be made and lost. Returns how long nobody makes it again. */
  async function crash(): Promise<number> {
    await kept.ensure();
    kept.lost('it ended with exit code 1');
    return kept.restartDelayMs;
  }

  it('is made again at once, then after 0.5 s, and after twice as long each time up to 30 s', async () => {
    const delays: number[] = [];
    for (let count = 0; count < 9; count++) {
      delays.push(await crash());
      await vi.advanceTimersByTimeAsync(delays.at(-1) as number);
    }
    expect(delays).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(made).toHaveLength(9);
  });

  it('says meanwhile when that will be, and that nothing was sent', async () => {
    await crash();
    await crash();
    await expect(kept.ensure()).rejects.toMatchObject({
      code: ErrorCode.UpstreamUnavailable,
      message:
        'the connection to upstream "files" was lost and is made again in 1 s; the request was not sent',
      cause: { message: 'it ended with exit code 1' },
    });
    expect(made).toHaveLength(2);
  });

  it('is forgiven what it did before it was healthy', async () => {
    for (let count = 0; count < 5; count++) await vi.advanceTimersByTimeAsync(await crash());
    await kept.ensure();
    await vi.advanceTimersByTimeAsync(HEALTHY_MS);
    kept.lost('it ended');
    expect(kept.restartDelayMs).toBe(0);
  });

  it('waits as well when it cannot be made, and not when there is no room for it', async () => {
    failure = new RpcError(ErrorCode.Overloaded, 'no room');
    for (let count = 0; count < 3; count++) await expect(kept.ensure()).rejects.toBe(failure);
    expect(kept.restartDelayMs).toBe(0);
    failure = new RpcError(ErrorCode.UpstreamUnavailable, 'command not found');
    for (let count = 0; count < 2; count++) await expect(kept.ensure()).rejects.toBe(failure);
    expect(kept.restartDelayMs).toBe(500);
  });

  it('is one for all who ask while it is made, and ends as soon as it is there when it was closed', async () => {
    const [one, other] = [kept.ensure(), kept.ensure()];
    await kept.close();
    expect(await one).toBe(await other);
    await vi.advanceTimersByTimeAsync(0);
    expect(made).toEqual([expect.objectContaining({ closeCount: 1 })]);
  });
});
