import { beforeEach, expect, it } from 'vitest';
import { type Caller, Cancellation, type Exchange } from '../exchange/exchange.js';
import { methodRow } from '../protocol/methods.js';
import { scanMessage } from '../protocol/scan.js';
import type { Message } from '../protocol/translate.js';
import { LegacySession, type LegacySessionEvents } from '../upstream/legacy/session.js';
import { ScriptedChannel, settled, WELCOME } from '../upstream/scripted-channel.js';
import type { Upstream } from '../upstream/upstream.js';
import { OwnLeg } from './own-leg.js';

let channels: ScriptedChannel[];
let told: [message: Record<string, unknown>, requestId: string | undefined][];

beforeEach(() => {
  channels = [];
  told = [];
});

const channel = () => channels.at(-1) as ScriptedChannel;

/** An upstream whose sessions run over scripted channels. */
function upstreamOver(kind: 'http' | 'stdio'): Upstream {
  return {
    name: 'up',
    traits: { hasOwnStreams: kind === 'http' },
    config: { onSessionLoss: 'reinitialize' },
    ownSession: (hello: string, events: LegacySessionEvents, ownerSaysInitialized: boolean) =>
      new LegacySession({
        name: 'up',
        hello,
        events,
        ownerSaysInitialized,
        openChannel: (channelEvents) => {
          channels.push(new ScriptedChannel(channelEvents));
          return channel();
        },
      }),
  } as unknown as Upstream;
}

async function openLeg(kind: 'http' | 'stdio' = 'http'): Promise<OwnLeg> {
  const leg = new OwnLeg({
    upstream: upstreamOver(kind),
    hello: '{}',
    host: {
      caller: {} as Caller,
      admission: undefined,
      headers: {},
      sessionName: undefined,
      toClient: ({ bytes }, requestId) => told.push([JSON.parse(bytes.toString()), requestId]),
      holds() {},
      end() {},
    },
    askPrefix: undefined,
    ownerSaysInitialized: false,
    toClient: (message) => message,
  });
  const open = leg.session.open();
  channel().last.answer(WELCOME);
  await open;
  return leg;
}

function exchange(method: string, params: object = {}, id: unknown = 1): Exchange {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  return {
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    caller: {} as Caller,
    headers: {},
    cancellation: new Cancellation(),
    notify() {},
  };
}

function message(value: object): Message {
  const bytes = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...value }));
  return { bytes, envelope: scanMessage(bytes) };
}

async function restart(leg: OwnLeg): Promise<void> {
  channel().events.lost('restarted');
  void leg.session.open();
  channel().last.answer(WELCOME);
  await settled();
}

const LOG = { method: 'notifications/message', params: { level: 'info', data: 'x' } };

it('does not send what was cancelled before it could be sent', async () => {
  const leg = await openLeg();
  const asked = exchange('tools/call');
  asked.cancellation.cancel();
  await expect(leg.request(asked, [])).rejects.toThrow('cancelled');
  expect(channel().requests).toHaveLength(1);
});

it('says to a new session what the old one knew, once and in the names of the upstream', async () => {
  const leg = await openLeg();
  const send = (method: string, params: object) => {
    const done = leg.request(exchange(method, params), []);
    channel().last.answer({ result: {} });
    return done;
  };
  await send('logging/setLevel', { level: 'debug' });
  await send('resources/subscribe', { uri: 'test://a', _meta: { progressToken: 1 } });
  await send('resources/subscribe', { uri: 'test://a', _meta: { progressToken: 2 } });
  await send('resources/subscribe', { uri: 'test://b' });
  await send('resources/unsubscribe', { uri: 'test://b', _meta: { progressToken: 3 } });
  await restart(leg);
  expect(channel().requests.map(({ message: { method, params } }) => [method, params])).toEqual([
    ['initialize', {}],
    ['logging/setLevel', { level: 'debug' }],
    ['resources/subscribe', { uri: 'test://a' }],
  ]);
  // What it watches may have changed meanwhile.
  expect(told.map(([{ method, params }]) => [method, params])).toEqual([
    ['notifications/resources/updated', { uri: 'test://a' }],
  ]);
});

it('remembers no more resources than a session may watch', async () => {
  const leg = await openLeg();
  for (let i = 0; i < 1_000; i++) {
    const done = leg.request(exchange('resources/subscribe', { uri: `test://${i}` }), []);
    channel().last.answer({ result: {} });
    await done;
  }
  await expect(leg.request(exchange('resources/subscribe', { uri: 'test://more' }), [])).rejects.toThrow(
    'watches 1000 resources already',
  );
});

it('ties what comes over one pipe to the only request that is under way', async () => {
  const leg = await openLeg('stdio');
  void leg.request(exchange('tools/call', {}, 'a'), []).catch(() => {});
  channel().say(LOG);
  void leg.request(exchange('tools/call', {}, 'b'), []).catch(() => {});
  channel().say(LOG);
  expect(told.map(([, requestId]) => requestId)).toEqual(['"a"', undefined]);
  leg.close();
});

it('leaves what comes on the GET stream outside of requests', async () => {
  const leg = await openLeg('http');
  void leg.request(exchange('tools/call', {}, 'a'), []).catch(() => {});
  channel().say(LOG);
  channel().last.send(LOG);
  expect(told.map(([, requestId]) => requestId)).toEqual([undefined, '"a"']);
  leg.close();
});

it('lets requests that are under way end when it is closed, and passes nothing on later', async () => {
  const leg = await openLeg();
  const pending = leg.request(exchange('tools/call'), []);
  const request = channel().last;
  leg.close();
  await expect(pending).rejects.toThrow('cancelled');
  expect(channel().closed).toBe(true);
  request.answer({ result: {} });
  expect(leg.response(message({ id: 1, result: {} }))).toBe(false);
});
