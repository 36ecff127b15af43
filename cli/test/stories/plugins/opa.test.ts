import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LOOP_MARK, scriptedBundle } from '../../../../plugins/src/policy/opa/scripted-module.js';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { metric } from '../gateway-metrics.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { DEAD_URL, type HttpServer, plain, startFixtureOn } from '../upstreams.js';

/* "My organisation has its policies in OPA, and the gateway does what they say." */

const TOKEN = 'a-token-of-opa';
const ELSEWHERE = '/elsewhere';
const MULTI_ROUND = 'test_input_required_result_multi_round';

/** A server that speaks OPA's data API, with a policy that goes by the text that a tool is given. */
class OpaServer {
  private constructor(
    private readonly server: Server,
    readonly asked: { input: any; authorization: string | undefined }[],
    readonly followed: string[],
  ) {}

  static async start(): Promise<OpaServer> {
    const asked: OpaServer['asked'] = [];
    const followed: string[] = [];
    const server = createServer((request, response) => void answer(request, response, asked, followed));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new OpaServer(server, asked, followed);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1/data/sluice/decision`;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  asked: OpaServer['asked'],
  followed: string[],
): Promise<void> {
  const { input } = JSON.parse(await text(request)) as { input: any };
  if (request.url === ELSEWHERE) followed.push(ELSEWHERE);
  asked.push({ input, authorization: request.headers.authorization });
  const json = (body: object, status = 200) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  switch (input.arguments?.text) {
    case undefined:
      // Of what it has asked about it says nothing in lists.
      if (input.target.name === MULTI_ROUND && !input.later)
        return json({ result: { ask: 'May it ask you?' } });
      return json({ result: input.target.name === 'echo' });
    case 'deny':
      return json({ result: { allow: false, reason: 'OPA says no' } });
    case 'ask':
      return json({ result: { ask: { message: `May ${input.target.name} run?` } } });
    case 'undefined':
      return json({});
    case 'broken':
      return json({ result: true }, 500);
    case 'nonsense':
      response.writeHead(200);
      return void response.end('{"result":');
    case 'redirect':
      response.writeHead(307, { location: ELSEWHERE });
      return void response.end();
    case 'huge':
      return json({ result: true, more: 'x'.repeat(1_000_000) });
    case 'slow':
      return;
    default:
      return json({ result: { allow: true } });
  }
}

let opa: OpaServer;
let fixture: HttpServer;
let folder: string;
let overRest: RunningGateway;
let compiled: RunningGateway;
/** Lets pass where OPA cannot be asked. */
let open: RunningGateway;

beforeAll(async () => {
  [opa, fixture] = await Promise.all([OpaServer.start(), startFixtureOn(0, 'modern')]);
  folder = await mkdtemp(join(tmpdir(), 'sluice-opa-story-'));
  const bundle = scriptedBundle();
  await writeFile(join(folder, 'bundle.tar.gz'), bundle);
  const digest = `sha256-${createHash('sha256').update(bundle).digest('base64')}`;
  const gatewayWith = (own: object, binding: object = {}, rules: readonly object[] = []) =>
    startGateway({
      workers: 1,
      config: {
        upstreams: [plain('plain'), { name: 'modern', url: fixture.url }],
        plugins: [{ plugin: 'policy', ...binding, config: { rules, opa: own } }],
      },
    });
  const never = { id: 'never', when: 'arguments.text == "never"', outcome: 'deny', reason: 'not that' };
  [overRest, compiled, open] = await Promise.all([
    gatewayWith({ rest: { url: opa.url, token: TOKEN, timeout: '300ms' } }),
    gatewayWith({ wasm: { path: join(folder, 'bundle.tar.gz'), digest, entrypoint: 'sluice/decision' } }),
    gatewayWith({ rest: { url: DEAD_URL.replace('/mcp', '/v1/data/a') } }, { on_failure: 'allow' }, [never]),
  ]);
});
afterEach(closeClients);
afterAll(async () => {
  await Promise.all([overRest?.stop(), compiled?.stop(), open?.stop()]);
  opa?.stop();
  await fixture?.kill();
  await rm(folder, { recursive: true, force: true });
});

describe.each(KINDS)('%s', (kind) => {
  it('calls what an OPA elsewhere allows, and is shown that alone', async () => {
    const asked: string[] = [];
    const onElicit = ({ message }: { message: string }) => {
      asked.push(message);
      return { action: 'accept', content: {} };
    };
    const client = await connect(kind, `${overRest.url}/mcp`, { onElicit });
    expect(await client.toolNames()).toEqual(['plain__echo']);
    expect(await client.say('plain__echo', { text: `hi ${kind}` })).toBe(`hi ${kind}`);
    const { input, authorization } = opa.asked.at(-1) as (typeof opa.asked)[0];
    expect(authorization).toBe(`Bearer ${TOKEN}`);
    expect(input).toMatchObject({
      method: 'tools/call',
      target: { kind: 'tool', upstream: 'plain', name: 'echo' },
      arguments: { text: `hi ${kind}` },
      principal: { id: 'anonymous' },
    });
    await expect(client.say('plain__echo', { text: 'deny' })).rejects.toThrow('OPA says no');
    expect(await client.say('plain__echo', { text: 'ask' })).toBe('ask');
    expect(asked).toEqual(['May echo run?']);
  });

  it('is asked once when the server asks in two rounds afterwards', async () => {
    const asked: string[] = [];
    const onElicit = ({ message }: { message: string }) => {
      asked.push(message);
      return { action: 'accept', content: { name: 'Ada', color: 'red' } };
    };
    const client = await connect(kind, `${overRest.url}/mcp`, { onElicit });
    for (let count = 0; count < 2; count++)
      expect(await client.say(`modern__${MULTI_ROUND}`)).toBe('Ada likes red');
    expect(asked).toHaveLength(6);
    expect(asked[0]).toBe('May it ask you?');
    expect(asked[3]).toBe('May it ask you?');
  });

  it('calls what a compiled policy allows', async () => {
    const client = await connect(kind, `${compiled.url}/mcp`);
    expect(await client.toolNames()).toContain('plain__echo');
    expect(await client.say('plain__echo', { text: 'hi' })).toBe('hi');
    await expect(client.say('plain__echo', { text: 'hi!' })).rejects.toThrow('not with that');
    await expect(client.say('plain__echo', { text: 'hi%' })).rejects.toThrow('does not allow');
    await expect(client.say('plain__echo', { text: 'hi?' })).rejects.toThrow('did not declare `elicitation`');
  });
});

it.each(['undefined', 'broken', 'nonsense', 'redirect', 'huge', 'slow'])(
  'nothing passes when the answer of OPA is %s',
  async (what) => {
    const client = await connect('SDK v1', `${overRest.url}/mcp`);
    const says = what === 'undefined' ? 'does not allow' : 'nothing passes without it';
    await expect(client.say('plain__echo', { text: what })).rejects.toThrow(says);
    expect(await client.say('plain__echo', { text: `after ${what}` })).toBe(`after ${what}`);
    expect(opa.followed).toEqual([]);
  },
);

it('passes without OPA where the binding says so, and not what a rule denies', async () => {
  const client = await connect('SDK v1', `${open.url}/mcp`);
  expect(await client.toolNames()).toContain('plain__echo');
  expect(await client.say('plain__echo', { text: 'anything' })).toBe('anything');
  await expect(client.say('plain__echo', { text: 'never' })).rejects.toThrow('not that');
});

it('a policy without end costs its own call alone', async () => {
  const client = await connect('SDK v1', `${compiled.url}/mcp`);
  const [endless, other] = await Promise.allSettled([
    client.say('plain__echo', { text: LOOP_MARK }),
    client.say('plain__echo', { text: 'other' }),
  ]);
  expect(endless).toMatchObject({ status: 'rejected' });
  expect(other).toMatchObject({ status: 'fulfilled', value: 'other' });
  const seen = await metric(compiled.url, 'sluice_plugin_policy_opa_total{binding="policy",how="timeout"}');
  expect(seen).toBe(1);
});

it('secrets of the configuration are in no log', () => {
  expect(overRest.logs()).not.toContain(TOKEN);
});
