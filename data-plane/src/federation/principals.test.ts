/* What one principal holds is nothing to another, through both endpoints and at servers of both eras. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Configuration, RESOURCE_LISTS, resolveConfiguration } from '@sluice/proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChainedEndpoint } from '../chain/chained-endpoint.js';
import { Plugins, type PluginsOptions } from '../chain/plugins.js';
import { ANONYMOUS, type Caller, Cancellation, type Exchange } from '../exchange/exchange.js';
import type { Endpoint } from '../front/endpoint.js';
import { ErrorCode, type RpcError } from '../protocol/errors.js';
import { methodRow } from '../protocol/methods.js';
import { META, MODERN_REVISION } from '../protocol/revisions.js';
import { scanMessage } from '../protocol/scan.js';
import { createSealer } from '../sessions/seal.js';
import { Runtime } from '../snapshot/snapshot.js';
import type { Known } from './discovery.js';

type Params = Record<string, unknown>;
interface Request {
  readonly id?: unknown;
  readonly method: string;
  readonly params: Params;
}

const [ONE, TWO, THREE] = ['one', 'two', 'three'].map((name) => ({ name, inputSchema: { type: 'object' } }));
const text = (said: string) => ({ content: [{ type: 'text', text: said }] });

/** A server of one era, which says to each call in which session it came. */
class FakeServer {
  /** What was asked in each session, by its name; a modern server has one list. */
  readonly sessions = new Map<string, string[]>();
  private readonly extended = new Set<string>();
  private readonly streams = new Map<string, ServerResponse>();
  private readonly server: Server;

  /** Fails to list its tools. */
  listless = false;
  /** What its first tool says it does. */
  described = 'first';

  constructor(private readonly era: 'legacy' | 'modern') {
    this.server = createServer((request, response) => void this.serve(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/mcp`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** Names of the sessions in which something was asked. */
  sessionsThatHeard(what: string): string[] {
    return [...this.sessions].filter(([, heard]) => heard.includes(what)).map(([name]) => name);
  }

  updated(session: string, uri: string): void {
    this.tell(session, { method: 'notifications/resources/updated', params: { uri } });
  }

  hears(session: string): boolean {
    return this.streams.has(session);
  }

  /** Shows one tool more in this session. */
  addTool(session: string): void {
    this.extended.add(session);
    this.tell(session, { method: 'notifications/tools/list_changed', params: {} });
  }

  private tell(session: string, message: object): void {
    this.streams.get(session)?.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const session = request.headers['mcp-session-id'] as string | undefined;
    if (request.method === 'GET' && session !== undefined) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      this.streams.set(session, response);
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method !== 'POST') {
      response.writeHead(200).end();
      return;
    }
    const message = JSON.parse(Buffer.concat(chunks).toString()) as Request;
    const begins = message.method === 'initialize' && this.era === 'legacy';
    const name = begins ? `session-${this.sessions.size}` : (session ?? 'none');
    if (begins || name === 'none') this.sessions.set(name, this.sessions.get(name) ?? []);
    this.sessions.get(name)?.push(message.method);
    if (message.id === undefined) {
      response.writeHead(202).end();
      return;
    }
    const answer = this.answer(message, name);
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(begins && { 'mcp-session-id': name }),
    });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...answer }));
  }

  private answer({ method, params }: Request, session: string): object {
    const capabilities = { tools: {}, resources: { subscribe: true } };
    const complete = this.era === 'modern' ? { resultType: 'complete' } : {};
    switch (method) {
      case 'initialize':
        if (this.era === 'modern') break;
        return {
          result: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's', version: '1' } },
        };
      case 'server/discover':
        if (this.era === 'legacy') break;
        return { result: { ...complete, supportedVersions: [MODERN_REVISION], capabilities } };
      case 'tools/list':
        if (this.listless) break;
        return {
          result: {
            ...complete,
            tools: [
              { ...ONE, description: this.described },
              TWO,
              ...(this.extended.has(session) ? [THREE] : []),
            ],
          },
        };
      case 'resources/list':
        return { result: { ...complete, resources: [{ uri: 'test://a', name: 'a' }] } };
      case 'resources/templates/list':
        return { result: { ...complete, resourceTemplates: [] } };
      case 'resources/subscribe':
        return { result: {} };
      case 'tools/call':
        if (this.era === 'legacy') return { result: text(session) };
        return params.requestState === undefined
          ? { result: { resultType: 'input_required', requestState: 'the state' } }
          : { result: { ...complete, ...text(String(params.requestState)) } };
      default:
    }
    const code = method === 'tools/list' ? ErrorCode.InternalError : ErrorCode.MethodNotFound;
    return { error: { code, message: `no ${method} here` } };
  }
}

const MODERN_CALLER: Caller = {
  era: 'modern',
  revision: MODERN_REVISION,
  principal: ANONYMOUS,
  capabilities: '{}',
  clientInfo: undefined,
  logLevel: undefined,
};

let server: FakeServer | undefined;
let runtime: Runtime;
const open: Cancellation[] = [];
let count = 0;

async function start(era: 'legacy' | 'modern'): Promise<void> {
  server = new FakeServer(era);
  await run({ case: 'http', value: { url: await server.listen(), headers: {} } });
}

/** Runs a gateway with one upstream. */
async function run(transport: object): Promise<void> {
  const upstream = { id: 'up', name: 'up', era: 0, transport };
  const configuration = resolveConfiguration({
    gateway: { discovery: { pageSize: 1 } },
    upstreams: [upstream],
    ...Object.fromEntries(RESOURCE_LISTS.map(({ field }) => [field.localName, []])),
    plugins: [],
  } as unknown as Configuration);
  runtime = new Runtime(configuration, {
    sealer: createSealer({ current: Buffer.alloc(32, 1), previous: [] }),
    log: pino({ level: 'silent' }),
    worker: 'n.0',
    // None are used.
    plugins: new Plugins({ log: pino({ level: 'silent' }) } as PluginsOptions),
    removed() {},
    released() {},
    sharedOfTrial: () => undefined,
    rerouted() {},
  });
  await runtime.apply(configuration);
  runtime.discovery.start();
  await runtime.discovery.settled;
}

afterEach(async () => {
  for (const cancellation of open.splice(0)) cancellation.cancel();
  await runtime.close();
  await server?.close();
  server = undefined;
});

/** Sends a request; `told` are the notifications that belong to it. */
function send(principal: string, path: string, method: string, params: Params) {
  const _meta = { [META.version]: MODERN_REVISION, [META.capabilities]: {} };
  const bytes = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id: ++count, method, params: { ...params, _meta } }),
  );
  const told: string[] = [];
  const cancellation = new Cancellation();
  open.push(cancellation);
  const exchange: Exchange = {
    row: methodRow(method),
    bytes,
    envelope: scanMessage(bytes),
    caller: { ...MODERN_CALLER, principal },
    headers: { 'mcp-method': method },
    bodyOnly: true,
    cancellation,
    notify: (message) => {
      const { method: what, params: about } = JSON.parse(message.toString()) as Request;
      told.push(about.uri === undefined ? what : `${what} ${about.uri}`);
    },
  };
  const outcome = (runtime.table.find(path) as Endpoint)
    .modern(exchange)
    .then(({ bytes: said }) => JSON.parse(said.toString()) as { result?: Params; error?: { code: number } });
  outcome.catch(() => undefined);
  return { outcome, told };
}

async function resultOf(principal: string, path: string, method: string, params: Params): Promise<Params> {
  return (await send(principal, path, method, params).outcome).result as Params;
}

const refusal = (sent: { outcome: Promise<unknown> }) =>
  sent.outcome.then(
    () => undefined,
    (thrown: RpcError) => ({ code: thrown.code, message: thrown.message }),
  );

describe('at a legacy server', () => {
  beforeEach(() => start('legacy'));

  it('each principal has a session of its own, and the gateway another', async () => {
    const said = async (principal: string, path: string, name: string) =>
      ((await resultOf(principal, path, 'tools/call', { name })).content as { text: string }[])[0]?.text;
    const ada = await said('ada', '/mcp/up', 'one');
    const ben = await said('ben', '/mcp/up', 'one');
    expect(new Set([ada, ben]).size).toBe(2);
    expect(await said('ada', '/mcp', 'up__one')).toBe(ada);
    expect(await said('ben', '/mcp', 'up__two')).toBe(ben);
    expect((server as FakeServer).sessionsThatHeard('tools/call').sort()).toEqual([ada, ben].sort());
    // The lists of `/mcp` are what the gateway was shown.
    const [own] = (server as FakeServer).sessionsThatHeard('tools/list');
    expect([ada, ben]).not.toContain(own);
    expect((server as FakeServer).sessionsThatHeard('initialize')).toHaveLength(3);
  });

  it.each(['/mcp', '/mcp/up'])('what one watches at %s is told to nobody else', async (path) => {
    const uri = path === '/mcp' ? 'up+test://a' : 'test://a';
    const notifications = { resourceSubscriptions: [uri] };
    const ada = send('ada', path, 'subscriptions/listen', { notifications });
    await expect.poll(() => ada.told).toHaveLength(1);
    const [adasSession] = (server as FakeServer).sessionsThatHeard('resources/subscribe');
    const ben = send('ben', path, 'subscriptions/listen', { notifications });
    const another = send('ada', path, 'subscriptions/listen', { notifications });
    await expect.poll(() => [ben.told, another.told]).toMatchObject([{ length: 1 }, { length: 1 }]);
    const sessions = (server as FakeServer).sessionsThatHeard('resources/subscribe');
    expect(sessions).toHaveLength(2);
    (server as FakeServer).updated(adasSession as string, 'test://a');
    await expect.poll(() => [ada.told.length, another.told.length]).toEqual([2, 2]);
    (server as FakeServer).updated(sessions.find((session) => session !== adasSession) as string, 'test://a');
    await expect.poll(() => ben.told.length).toBe(2);
    expect([ada.told.length, another.told.length]).toEqual([2, 2]);
  });
});

describe('at a legacy server that changes its tools in one session', () => {
  beforeEach(() => start('legacy'));

  it('its principal is told and shown them, and nobody else is', async () => {
    const [ada, ben] = ['ada', 'ben'].map((principal) =>
      send(principal, '/mcp', 'subscriptions/listen', { notifications: { toolsListChanged: true } }),
    );
    for (const principal of ['ada', 'ben'])
      await resultOf(principal, '/mcp', 'tools/call', { name: 'up__one' });
    const told = () => [ada, ben].map((each) => each?.told.at(-1));
    const acknowledged = 'notifications/subscriptions/acknowledged';
    expect(told()).toEqual([acknowledged, acknowledged]);
    (server as FakeServer).addTool((server as FakeServer).sessionsThatHeard('tools/call')[0] as string);
    await expect.poll(told).toEqual(['notifications/tools/list_changed', acknowledged]);
    const page = async (principal: string, cursor?: unknown): Promise<unknown[]> => {
      const { tools, nextCursor } = await resultOf(principal, '/mcp', 'tools/list', { cursor });
      const names = (tools as { name: string }[]).map(({ name }) => name);
      return nextCursor === undefined ? names : [...names, ...(await page(principal, nextCursor))];
    };
    expect(await page('ada')).toEqual(['up__one', 'up__two', 'up__three']);
    expect(await page('ben')).toEqual(['up__one', 'up__two']);
    expect(await resultOf('ada', '/mcp', 'tools/call', { name: 'up__three' })).toBeDefined();
    await expect(send('ben', '/mcp', 'tools/call', { name: 'up__three' }).outcome).rejects.toThrow(
      'up__three',
    );
  });
});

describe('at a modern server', () => {
  beforeEach(() => start('modern'));

  it('a cursor is taken from the principal to whom it was given, and from nobody else', async () => {
    const { nextCursor, tools } = await resultOf('ada', '/mcp', 'tools/list', {});
    expect(tools).toMatchObject([{ name: 'up__one' }]);
    const next = { cursor: nextCursor };
    const foreign = await refusal(send('ben', '/mcp', 'tools/list', next));
    expect(foreign).toEqual(await refusal(send('ben', '/mcp', 'tools/list', { cursor: 'made up' })));
    expect(foreign?.code).toBe(ErrorCode.InvalidParams);
    const two = { tools: [{ name: 'up__two' }] };
    expect(await resultOf('ada', '/mcp', 'tools/list', next)).toMatchObject(two);
    // The page that was kept for one is not shown to the other.
    const own = await resultOf('ben', '/mcp', 'tools/list', {});
    expect(await resultOf('ben', '/mcp', 'tools/list', { cursor: own.nextCursor })).toMatchObject(two);
  });

  it('a requestState is taken from the principal to whom it was given, and from nobody else', async () => {
    const call = { name: 'up__one' };
    const { requestState } = await resultOf('ada', '/mcp', 'tools/call', call);
    const foreign = await refusal(send('ben', '/mcp', 'tools/call', { ...call, requestState }));
    const madeUp = send('ben', '/mcp', 'tools/call', { ...call, requestState: 'made up' });
    expect(foreign).toEqual(await refusal(madeUp));
    expect(foreign?.code).toBe(ErrorCode.InvalidParams);
    expect(await resultOf('ada', '/mcp', 'tools/call', { ...call, requestState })).toMatchObject(
      text('the state'),
    );
  });
});

describe('at a process that all share', () => {
  /** A legacy server that would tell everybody of everybody's tasks. */
  const PROGRAM = `
    require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      const capabilities = { tasks: { list: {} } };
      const result = method === 'initialize'
        ? { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's', version: '1' } }
        : { tasks: [{ taskId: 'of somebody' }] };
      const error = { code: -32601, message: method };
      if (id !== undefined)
        console.log(JSON.stringify({ jsonrpc: '2.0', id, ...(method.startsWith('server/') ? { error } : { result }) }));
    });`;

  it('nobody is told of tasks, which may be those of others', async () => {
    const value = { command: process.execPath, args: ['-e', PROGRAM], env: {}, cwd: '' };
    await run({ case: 'stdio', value });
    const caller: Caller = { ...MODERN_CALLER, era: 'legacy', revision: '2025-11-25' };
    const endpoint = runtime.table.find('/mcp/up') as Endpoint;
    const session = endpoint.openLegacy({
      caller,
      admission: undefined,
      headers: {},
      sessionName: undefined,
      toClient() {},
      holds() {},
      end() {},
    });
    const initialized = JSON.parse(await session.initialize('{"capabilities":{}}', '2025-11-25'));
    expect(initialized.capabilities).toEqual({});
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tasks/list"}');
    const cancellation = new Cancellation();
    const envelope = scanMessage(bytes);
    const exchange = { row: undefined, bytes, envelope, caller, headers: {}, cancellation, notify() {} };
    await expect(session.request(exchange)).rejects.toMatchObject({ code: ErrorCode.MethodNotFound });
    session.close();
  });
});

describe('the definition of a tool', () => {
  const known = () => runtime.discovery.known[0] as Known;
  const define = async (path: string, name: string, caller: Partial<Caller> = {}) => {
    const { inner } = runtime.table.find(path) as ChainedEndpoint;
    return inner.definition({ kind: 'tool', upstream: 'up', name }, { ...MODERN_CALLER, ...caller });
  };

  it.each(['/mcp', '/mcp/up'])(
    'is at hand at %s, by the name that the tool has at its upstream',
    async (path) => {
      await start('modern');
      const { inner } = runtime.table.find(path) as ChainedEndpoint;
      const of = (upstream: string, name: string) =>
        inner.definition({ kind: 'tool', upstream, name }, MODERN_CALLER);
      expect([of('up', 'one'), of('up', 'up__one'), of('down', 'one')]).toEqual([
        { ...ONE, description: 'first' },
        undefined,
        undefined,
      ]);
    },
  );

  it('is the new one as soon as the upstream has said that its list has changed', async () => {
    await start('modern');
    (server as FakeServer).described = 'second';
    expect(await define('/mcp', 'one')).toMatchObject({ description: 'first' });
    runtime.discovery.offerChanged(known().upstream, 'tools');
    const both = await Promise.all(['/mcp', '/mcp/up'].map((path) => define(path, 'one')));
    expect(both).toMatchObject([{ description: 'second' }, { description: 'second' }]);
  });

  it.each(['/mcp', '/mcp/up'])(
    'is not told at %s by an upstream that has changed it and lists nothing',
    async (path) => {
      await start('modern');
      (server as FakeServer).listless = true;
      runtime.discovery.offerChanged(known().upstream, 'tools');
      await expect(define(path, 'one')).rejects.toMatchObject({
        kind: 'failed',
        message: expect.stringContaining('upstream "up" does not tell what its tools are: '),
      });
      (server as FakeServer).listless = false;
      await expect.poll(() => define(path, 'one').catch(() => undefined)).toMatchObject({ name: 'one' });
    },
  );

  it('is not told by an upstream that was never reached', async () => {
    await run({ case: 'http', value: { url: 'http://127.0.0.1:1/mcp', headers: {} } });
    await expect(define('/mcp/up', 'one')).rejects.toMatchObject({ kind: 'failed' });
  });

  it('is what a principal is shown in a session of its own', async () => {
    await start('legacy');
    const ada = send('ada', '/mcp', 'subscriptions/listen', { notifications: { toolsListChanged: true } });
    await resultOf('ada', '/mcp/up', 'tools/call', { name: 'one' });
    const [adas] = (server as FakeServer).sessionsThatHeard('tools/call');
    await expect.poll(() => (server as FakeServer).hears(adas as string)).toBe(true);
    (server as FakeServer).addTool(adas as string);
    await expect.poll(() => ada.told).toHaveLength(2);
    expect(await define('/mcp/up', 'three', { principal: 'ada' })).toMatchObject({ name: 'three' });
    expect(await define('/mcp', 'three', { principal: 'ada' })).toMatchObject({ name: 'three' });
    expect(await define('/mcp/up', 'three', { principal: 'ben' })).toBeUndefined();
  });

  it('is what a legacy client is shown in its own session', async () => {
    await start('legacy');
    const caller: Caller = { ...MODERN_CALLER, era: 'legacy', revision: '2025-11-25' };
    const { inner } = runtime.table.find('/mcp/up') as ChainedEndpoint;
    const session = inner.openLegacy({
      caller,
      admission: undefined,
      headers: {},
      sessionName: undefined,
      toClient() {},
      holds() {},
      end() {},
    });
    await session.initialize('{"capabilities":{}}', '2025-11-25');
    const own = [...(server as FakeServer).sessions.keys()].at(-1) as string;
    const three = () => session.definition?.({ kind: 'tool', upstream: 'up', name: 'three' }, caller);
    expect(await three()).toBeUndefined();
    session.listen();
    await expect.poll(() => (server as FakeServer).hears(own)).toBe(true);
    (server as FakeServer).addTool(own);
    await expect.poll(three).toMatchObject({ name: 'three' });
    expect(await define('/mcp/up', 'three')).toBeUndefined();
    session.close();
  });
});
