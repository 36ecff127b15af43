import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../exchange/exchange.js';
import { ErrorCode } from '../../protocol/errors.js';
import { ParkedElsewhere } from '../../sessions/parked-elsewhere.js';
import type { UpstreamCall, UpstreamReply } from '../call.js';
import { ownCall } from '../own-request.js';
import { MAX_SHARED_SESSION_PER_PRINCIPAL_COUNT } from './asking-sessions.js';
import { ParkedAccount } from './parked-account.js';
import { CALLER, ScriptedParking, turns, UNLIMITED } from './scripted-parking.js';

/** More than the quiet window after an ask. */
const QUIET_MS = 30;

let parking: ScriptedParking;
const others: ScriptedParking[] = [];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] });
  parking = new ScriptedParking();
});
afterEach(() => {
  for (const each of [parking, ...others.splice(0)]) each.calls.close();
  vi.useRealTimers();
});

/** A second upstream, worker or account. */
function other(options: ConstructorParameters<typeof ScriptedParking>[0]): ScriptedParking {
  const made = new ScriptedParking(options);
  others.push(made);
  return made;
}

const toolCall = (name = 'a', params: object = {}) => ownCall('tools/call', { name, ...params }, true);
const resultOf = ({ bytes }: UpstreamReply) => JSON.parse(bytes.toString()).result;
const ANSWER = { result: { content: [] } };

async function send(
  call: UpstreamCall,
  caller = CALLER,
  at = parking,
): Promise<{ reply: Promise<UpstreamReply> }> {
  const reply = at.calls.run(call, caller);
  reply.catch(() => {});
  await turns();
  return { reply };
}

/** A call in which the upstream has asked; resolves with the state that leads back to it. */
async function park(call = toolCall(), at = parking, caller = CALLER): Promise<string> {
  const { reply } = await send(call, caller, at);
  at.channel.last.send({ id: 'q', method: 'elicitation/create', params: { message: 'Who?' } });
  await vi.advanceTimersByTimeAsync(QUIET_MS);
  const { requestState, inputRequests } = resultOf(await reply);
  expect(Object.keys(inputRequests)).toEqual(['elicitation-1']);
  return requestState;
}

const answers = (action: string) => ({ 'elicitation-1': { action } });
const retry = (requestState: string, name = 'a', action = 'decline') =>
  toolCall(name, { requestState, inputResponses: answers(action) });

it('forgets at once what asked nothing: any number of calls may follow each other', async () => {
  for (let i = 0; i < 1_100; i++) {
    const { reply } = await send(toolCall());
    parking.channel.last.answer(ANSWER);
    expect(resultOf(await reply)).toEqual({ content: [] });
  }
  expect(parking.channels).toHaveLength(1);
});

describe('a state', () => {
  it('leads back to its call, once; the same retry again has the same outcome', async () => {
    const state = await park();
    const first = parking.calls.run(retry(state), CALLER);
    const second = parking.calls.run(retry(state), CALLER);
    await turns();
    parking.channel.last.answer(ANSWER);
    expect(resultOf(await first)).toEqual({ content: [] });
    expect(resultOf(await second)).toEqual({ content: [] });
    expect(resultOf(await parking.calls.run(retry(state), CALLER))).toEqual({ content: [] });
    expect(parking.channel.posts.filter((text) => text.includes('decline'))).toHaveLength(1);
  });

  /** Why a request with a state is refused. */
  async function refusal(call: UpstreamCall, caller = CALLER, at = parking) {
    const thrown = await at.calls.run(call, caller).then(
      () => undefined,
      (error: unknown) => error,
    );
    return thrown as { code: number; message: string };
  }
  const invalid = (reason: string) => ({
    code: ErrorCode.InvalidParams,
    message: expect.stringContaining(reason),
  });
  const FOREIGN = 'altered, or was given out for another request or to another principal';

  it('is refused wherever it was altered', async () => {
    const state = await park();
    for (let i = 0; i < state.length; i++) {
      const other = state[i] === 'A' ? 'B' : 'A';
      const altered = state.slice(0, i) + other + state.slice(i + 1);
      expect(await refusal(retry(altered))).toMatchObject(invalid(FOREIGN));
    }
    for (const altered of ['', state.slice(1), state.slice(0, -1), `${state}A`, ` ${state}`])
      expect(await refusal(retry(altered))).toMatchObject(invalid(FOREIGN));
    const noText = toolCall('a', { requestState: { w: 0 }, inputResponses: answers('accept') });
    expect(await refusal(noText)).toMatchObject(invalid(FOREIGN));
    expect(parking.channel.posts).not.toContainEqual(expect.stringContaining('"q"'));
  });

  it('is refused for other parameters and methods, and for other principals', async () => {
    const state = await park();
    const inputResponses = answers('decline');
    for (const call of [
      retry(state, 'b'),
      toolCall('a', { requestState: state, inputResponses, arguments: { more: true } }),
      ownCall('prompts/get', { name: 'a', requestState: state, inputResponses }, true),
    ])
      expect(await refusal(call)).toMatchObject(invalid(FOREIGN));
    expect(await refusal(retry(state), { ...CALLER, principal: 'somebody else' })).toMatchObject(
      invalid(FOREIGN),
    );
    expect(await refusal(retry(state), CALLER, other({ upstreamId: 'other' }))).toMatchObject(
      invalid(FOREIGN),
    );
  });

  it('is refused when it is used again with other answers', async () => {
    const state = await park();
    void parking.calls.run(retry(state), CALLER).catch(() => {});
    expect(await refusal(retry(state, 'a', 'accept'))).toMatchObject(invalid('used already'));
    parking.channel.last.answer(ANSWER);
    await turns();
    expect(await refusal(retry(state, 'a', 'accept'))).toMatchObject(invalid('used already'));
  });

  it('is refused when it is too old', async () => {
    const state = await park();
    await vi.advanceTimersByTimeAsync(UNLIMITED.parkedCallLifetimeMs + 1);
    expect(await refusal(retry(state))).toMatchObject(invalid('expired'));
  });

  it('is refused when a new configuration gives calls less time', async () => {
    const state = await park();
    await vi.advanceTimersByTimeAsync(2_000);
    parking.account.apply({ ...UNLIMITED, parkedCallLifetimeMs: 1_000 });
    expect(await refusal(retry(state))).toMatchObject(invalid('gone'));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(parking.channel.last.aborted).toBe(true);
  });

  it('is refused by an upstream that was made anew, whatever calls that one has', async () => {
    const state = await park();
    const again = other({});
    await park(toolCall(), again);
    expect(await refusal(retry(state), CALLER, again)).toMatchObject(invalid('gone'));
  });

  it('can be used again when the answers were no answers', async () => {
    const state = await park();
    expect(await refusal(retry(state, 'a', 'perhaps'))).toMatchObject(invalid('inputResponses'));
    expect(await refusal(toolCall('a', { requestState: state, inputResponses: [] }))).toMatchObject(
      invalid('inputResponses'),
    );
    const { reply } = await send(retry(state));
    parking.channel.last.answer(ANSWER);
    expect(resultOf(await reply)).toEqual({ content: [] });
  });

  it('says which worker has the call', async () => {
    const state = await park();
    const error = await refusal(retry(state), CALLER, other({ worker: 'n.1' }));
    expect(error).toBeInstanceOf(ParkedElsewhere);
    expect(error).toMatchObject({ worker: 'n.0', ...invalid('gone') });
  });
});

it('cancels a call for which the same retry was sent twice when both clients have gone', async () => {
  const state = await park();
  const leave = [new Cancellation(), new Cancellation()];
  const [first, second] = leave.map((cancellation) =>
    parking.calls.run({ ...retry(state), cancellation }, CALLER),
  );
  await turns();
  leave[0]?.cancel();
  expect(parking.channel.last.aborted).toBe(false);
  leave[1]?.cancel();
  expect(parking.channel.last.aborted).toBe(true);
  await expect(first).rejects.toThrow('cancelled');
  await expect(second).rejects.toThrow('cancelled');
});

describe('the session of a parked call', () => {
  it('is closed when nobody came back', async () => {
    await park();
    const request = parking.channel.last;
    await vi.advanceTimersByTimeAsync(UNLIMITED.parkedCallLifetimeMs + 6_000);
    expect(request.aborted).toBe(true);
    expect(parking.channel.closed).toBe(false);
    await vi.advanceTimersByTimeAsync(5 * 60_000 + 6_000);
    expect(parking.channel.closed).toBe(true);
  });

  it('is closed as well when the upstream ended the call before anybody came back', async () => {
    await park();
    parking.channel.last.answer(ANSWER);
    await vi.advanceTimersByTimeAsync(5 * 60_000 + 6_000);
    expect(parking.channel.closed).toBe(true);
  });

  it('serves clients with the same capabilities only', async () => {
    await send(toolCall());
    await send(toolCall(), { ...CALLER, capabilities: '{"elicitation":{},"sampling":{}}' });
    await send(toolCall(), { ...CALLER, principal: 'somebody else' });
    await send(toolCall());
    expect(parking.channels).toHaveLength(3);
  });
});

it('keeps no more notifications for an absent client than so many bytes', async () => {
  const state = await park();
  for (let i = 0; i < 100; i++)
    parking.channel.last.send({
      method: 'notifications/message',
      params: { data: `${i} ${'x'.repeat(100_000)}` },
    });
  const heard: string[] = [];
  const call = retry(state);
  const { reply } = await send({
    ...call,
    onNotification: (bytes) => heard.push(JSON.parse(bytes.toString()).params.data.split(' ')[0]),
  });
  parking.channel.last.answer({ result: {} });
  await reply;
  expect(heard).toEqual(['90', '91', '92', '93', '94', '95', '96', '97', '98', '99']);
});

describe('limits of the whole worker', () => {
  const ANOTHER = { ...CALLER, principal: 'another' };

  /** A call that asks and may not wait for the answer. */
  async function refused(at: ScriptedParking, caller = CALLER): Promise<string> {
    const { reply } = await send(toolCall(), caller, at);
    at.channel.last.send({ id: 'q', method: 'elicitation/create', params: { message: 'Who?' } });
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    const error = await reply.then(
      () => expect.unreachable(),
      (thrown: { code: number; message: string }) => thrown,
    );
    expect(error.code).toBe(ErrorCode.Overloaded);
    expect(at.channel.last.aborted).toBe(true);
    return error.message;
  }

  it('leave room for others where one principal declares ever other capabilities', async () => {
    const declaring = (principal: string, form: number) =>
      send(toolCall(), { ...CALLER, principal, capabilities: `{"elicitation":{"form${form}":{}}}` });
    for (let form = 0; form < MAX_SHARED_SESSION_PER_PRINCIPAL_COUNT; form++) await declaring('ada', form);
    const refusal = '64 sets of client capabilities of one principal are in use';
    await expect((await declaring('ada', 100)).reply).rejects.toThrow(refusal);
    await declaring('ben', 0);
    expect(parking.openChannels).toHaveLength(MAX_SHARED_SESSION_PER_PRINCIPAL_COUNT + 1);
    parking.channels[3]?.last.answer(ANSWER);
    await turns();
    // One that is idle makes room.
    const { reply } = await declaring('ada', 100);
    expect(parking.channels[3]?.closed).toBe(true);
    parking.channel.last.answer(ANSWER);
    expect(resultOf(await reply)).toEqual({ content: [] });
  });

  it('count the calls of all upstreams, and of each principal', async () => {
    const account = new ParkedAccount({
      ...UNLIMITED,
      maxParkedCallCount: 3,
      maxParkedCallPerPrincipalCount: 2,
    });
    const one = other({ account, upstreamId: 'one' });
    const two = other({ account, upstreamId: 'two' });
    const state = await park(toolCall(), one);
    await park(toolCall(), two);
    expect(await refused(two)).toContain('gateway.sessions.max_parked_calls_per_principal');
    await park(toolCall(), one, ANOTHER);
    expect(await refused(one, ANOTHER)).toContain('(gateway.sessions.max_parked_calls)');
    expect(account.callCount).toBe(3);

    const { reply } = await send(retry(state), CALLER, one);
    one.channels[0]?.last.answer(ANSWER);
    await reply;
    await park(toolCall(), two);
    expect(account.callCount).toBe(3);
    one.calls.close();
    two.calls.close();
    expect([account.callCount, account.heldBytes]).toEqual([0, 0]);
  });

  it('are those of the newest configuration', async () => {
    await park();
    parking.account.apply({ ...UNLIMITED, maxParkedCallCount: 1 });
    expect(await refused(parking)).toContain('max_parked_calls');
    parking.account.apply(UNLIMITED);
    await park();
  });

  it('do not end a conversation that goes on', async () => {
    const state = await park();
    parking.account.apply({ ...UNLIMITED, maxParkedCallCount: 1 });
    const { reply } = await send(retry(state));
    parking.channel.last.send({ id: 'r', method: 'elicitation/create', params: { message: 'Why?' } });
    await vi.advanceTimersByTimeAsync(QUIET_MS);
    expect(resultOf(await reply).inputRequests).toHaveProperty('elicitation-2');
    expect(parking.account.callCount).toBe(1);
  });

  it('forget outcomes for others, and hold nothing when everything has ended', async () => {
    const at = other({ limits: { ...UNLIMITED, maxParkedBytes: 64 * 1024 } });
    const states: string[] = [];
    for (let i = 0; i < 5; i++) {
      states.push(await park(toolCall(), at));
      const { reply } = await send(retry(states[i] as string), CALLER, at);
      at.channel.last.answer({ result: { content: [{ type: 'text', text: 'x'.repeat(20_000) }] } });
      await reply;
    }
    const joins = async (state: string | undefined) =>
      at.calls.run(retry(state ?? ''), CALLER).then(
        () => true,
        () => false,
      );
    expect(await Promise.all(states.map(joins))).toEqual([false, false, true, true, true]);
    await vi.advanceTimersByTimeAsync(66_000);
    expect(await joins(states[4])).toBe(false);
    expect(at.account.heldBytes).toBe(0);
  });
});
