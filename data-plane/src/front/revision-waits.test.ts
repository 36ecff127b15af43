import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Reply } from '../listener/listener.js';
import { RevisionWaits } from './revision-waits.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class NotingReply {
  open = true;
  answer: { status: number; headers: Record<string, string>; text: string } | undefined;
  private aborted: () => void = () => {};

  send(status: number, headers: readonly (readonly [string, string])[], body: Uint8Array): void {
    this.open = false;
    this.answer = { status, headers: Object.fromEntries(headers), text: Buffer.from(body).toString() };
  }

  onAborted(listener: () => void): void {
    this.aborted = listener;
  }

  goAway(): void {
    this.open = false;
    this.aborted();
  }
}

function setUp(revision: number | undefined) {
  let runs = revision;
  const refused: number[] = [];
  const waits = new RevisionWaits(
    () => runs,
    (status) => void refused.push(status),
  );
  const admit = (wanted: string) => {
    const reply = new NotingReply();
    return { reply, admitted: waits.admit(wanted, reply as unknown as Reply) };
  };
  const run = (next: number) => {
    runs = next;
    waits.changed();
  };
  return { admit, run, refused };
}

describe('a request that names the least revision', () => {
  it.each(['0', '6', '7'])('goes on at once when the node runs that: %s', (wanted) => {
    expect(setUp(7).admit(wanted).admitted).toBe(true);
  });

  it('waits for that, and goes on when it is there', async () => {
    const { admit, run, refused } = setUp(7);
    const { reply, admitted } = admit('9');
    let is: unknown = 'waiting';
    void Promise.resolve(admitted).then((outcome) => {
      is = outcome;
    });
    await vi.advanceTimersByTimeAsync(1_000);
    run(8);
    await vi.advanceTimersByTimeAsync(0);
    expect(is).toBe('waiting');
    run(9);
    await vi.advanceTimersByTimeAsync(0);
    expect([is, reply.answer]).toEqual([true, undefined]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect([vi.getTimerCount(), refused]).toEqual([0, []]);
  });

  it('is told to come again when it takes too long', async () => {
    const { admit, refused } = setUp(undefined);
    const { reply, admitted } = admit('1');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await admitted).toBe(false);
    expect(reply.answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(reply.answer?.text).toContain('this node does not run revision 1 yet; send the request again');
    expect(refused).toEqual([503]);
  });

  it('is forgotten when its client goes away', async () => {
    const { admit, refused } = setUp(1);
    const { reply, admitted } = admit('2');
    reply.goAway();
    expect(await admitted).toBe(false);
    expect([vi.getTimerCount(), reply.answer, refused]).toEqual([0, undefined, []]);
  });

  it.each(['', '-1', '1.5', '01', '0x10', 'latest', '1, 2', '9'.repeat(16), '١'])(
    'is refused when that is no number: %j',
    (wanted) => {
      const { admit, refused } = setUp(7);
      const { reply, admitted } = admit(wanted);
      expect([admitted, reply.answer?.status, refused]).toEqual([false, 400, [400]]);
      expect(reply.answer?.text).toContain('must be the number of a revision, as in 42');
    },
  );

  it('does not wait when very many do', async () => {
    const { admit } = setUp(1);
    const waiting = Array.from({ length: 1_000 }, () => admit('2'));
    const { reply, admitted } = admit('2');
    expect(await admitted).toBe(false);
    expect(reply.answer?.status).toBe(503);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(waiting.every((each) => each.reply.answer?.status === 503)).toBe(true);
  });
});
