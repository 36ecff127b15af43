import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
  type Transport as TransportV2,
} from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport as TransportV1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  PingRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';

/** The official clients behind one interface, so that a story can be told of each of them. */

export const KINDS = ['SDK v2 legacy', 'SDK v2 auto', 'SDK v2 2026-07-28', 'SDK v1'] as const;
export type Kind = (typeof KINDS)[number];
export const LEGACY_KINDS = ['SDK v2 legacy', 'SDK v1'] as const satisfies readonly Kind[];

const V2_MODES = {
  'SDK v2 legacy': 'legacy',
  'SDK v2 auto': 'auto',
  'SDK v2 2026-07-28': { pin: '2026-07-28' },
} as const;

const INFO = { name: 'story', version: '1.0.0' };
const LOG_LEVEL_META = 'io.modelcontextprotocol/logLevel';

export interface Tool {
  name: string;
  description?: string;
}

export interface CallResult {
  content: { type: string; text?: string; uri?: string; resource?: { uri: string } }[];
  structuredContent?: unknown;
  isError?: boolean;
}

export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (progress: { progress: number; total?: number; message?: string }) => void;
  /** Asks for log messages of this level and above with this call (2026-07-28); a legacy client sets it before. */
  logLevel?: 'debug' | 'info' | 'error';
}

type Answer = (params: any) => object;

export interface ConnectOptions {
  /** Sent with every request over streamable HTTP. */
  headers?: Record<string, string>;
  /** What the client does when it is asked; each also declares the capability. */
  onElicit?: Answer;
  onSample?: Answer;
  onRoots?: () => object;
  /** Leaves listening to the story. */
  onPing?: () => void;
  /** How bytes move, for a client of one SDK; streamable HTTP without it. */
  transport?: TransportV1 | TransportV2;
}

export interface Notification {
  method: string;
  params?: any;
}

export interface OfficialClient {
  readonly kind: Kind;
  readonly isModern: boolean;
  /** Notifications that the client heard, in order; progress goes to its call instead. */
  readonly heard: Notification[];
  revision(): string | undefined;
  serverInfo(): { name: string; version: string } | undefined;
  capabilities(): Record<string, any> | undefined;
  /** All pages. */
  tools(): Promise<Tool[]>;
  toolNames(): Promise<string[]>;
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<CallResult>;
  /** The first text of a call's result. */
  say(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  resourceUris(): Promise<string[]>;
  templates(): Promise<string[]>;
  /** The contents of a resource. */
  read(uri: string): Promise<{ uri: string; text?: string; blob?: string }[]>;
  promptNames(): Promise<string[]>;
  /** The messages of a prompt. */
  prompt(name: string, args?: Record<string, string>): Promise<{ content: any }[]>;
  complete(ref: object, argument: { name: string; value: string }): Promise<string[]>;
  setLevel(level: 'debug' | 'info' | 'error'): Promise<unknown>;
  subscribe(uri: string): Promise<unknown>;
  /** Any request; the result as it came. */
  request(method: string, params: Record<string, unknown>): Promise<unknown>;
  /** Tells the server that the roots have changed. */
  rootsChanged(): Promise<void>;
  /** Ends the session, where there is one, and the connection. */
  close(): Promise<void>;
  /** Goes away without a word, as most clients do. */
  vanish(): Promise<void>;
  /** The SDK's own client, for what only one of them can. */
  readonly v2?: ClientV2;
}

const open = new Set<OfficialClient>();

/** Connects a client of this kind. {@link closeClients} closes what a story has left open. */
export async function connect(
  kind: Kind,
  url: string,
  options: ConnectOptions = {},
): Promise<OfficialClient> {
  const client = kind === 'SDK v1' ? await connectV1(url, options) : await connectV2(kind, url, options);
  open.add(client);
  return client;
}

function requestOf({ headers }: ConnectOptions): { requestInit?: RequestInit } {
  return headers === undefined ? {} : { requestInit: { headers } };
}

export async function closeClients(): Promise<void> {
  const clients = [...open];
  open.clear();
  await Promise.all(clients.map((client) => client.close().catch(() => undefined)));
}

function capabilitiesOf({ onElicit, onSample, onRoots }: ConnectOptions) {
  return {
    ...(onElicit && { elicitation: { form: {}, url: {} } }),
    ...(onSample && { sampling: {} }),
    ...(onRoots && { roots: { listChanged: true } }),
  };
}

async function connectV2(
  kind: keyof typeof V2_MODES,
  url: string,
  options: ConnectOptions,
): Promise<OfficialClient> {
  const client = new ClientV2(INFO, {
    capabilities: capabilitiesOf(options),
    versionNegotiation: { mode: V2_MODES[kind] },
  });
  const heard: Notification[] = [];
  client.fallbackNotificationHandler = async (notification) => void heard.push(notification);
  const { onElicit, onSample, onRoots, onPing } = options;
  if (onElicit) client.setRequestHandler('elicitation/create', ({ params }) => onElicit(params) as any);
  if (onSample) client.setRequestHandler('sampling/createMessage', ({ params }) => onSample(params) as any);
  if (onRoots) client.setRequestHandler('roots/list', () => onRoots() as any);
  if (onPing) {
    client.setRequestHandler('ping', () => {
      onPing();
      return {};
    });
  }
  const transport =
    (options.transport as TransportV2 | undefined) ?? new HttpV2(new URL(url), requestOf(options));
  await client.connect(transport);
  const isModern = client.getProtocolEra() === 'modern';
  const bypass = { cacheMode: 'bypass' } as const;
  return described({
    kind,
    isModern,
    heard,
    v2: client,
    revision: () => client.getNegotiatedProtocolVersion(),
    serverInfo: () => client.getServerVersion(),
    capabilities: () => client.getServerCapabilities(),
    tools: async () => (await client.listTools(undefined, bypass)).tools,
    call: async (name, args = {}, { signal, onProgress, logLevel } = {}) =>
      (await client.callTool(
        {
          name,
          arguments: args,
          ...(isModern && logLevel && { _meta: { [LOG_LEVEL_META]: logLevel } }),
        },
        { ...(signal && { signal }), ...(onProgress && { onprogress: onProgress }) },
      )) as CallResult,
    resourceUris: async () => (await client.listResources(undefined, bypass)).resources.map(({ uri }) => uri),
    templates: async () =>
      (await client.listResourceTemplates(undefined, bypass)).resourceTemplates.map(
        ({ uriTemplate }) => uriTemplate,
      ),
    read: async (uri) => (await client.readResource({ uri }, bypass)).contents as any,
    promptNames: async () => (await client.listPrompts(undefined, bypass)).prompts.map(({ name }) => name),
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages,
    complete: async (ref, argument) =>
      (await client.complete({ ref: ref as any, argument })).completion.values,
    setLevel: (level) => client.setLoggingLevel(level),
    subscribe: (uri) => client.subscribeResource({ uri }),
    request: (method, params) => client.request({ method, params }, z.unknown()),
    rootsChanged: () => client.sendRootsListChanged(),
    terminate: async () => {
      if (!isModern && transport instanceof HttpV2) await transport.terminateSession();
    },
    vanish: () => client.close(),
  });
}

async function connectV1(url: string, options: ConnectOptions): Promise<OfficialClient> {
  const client = new ClientV1(INFO, { capabilities: capabilitiesOf(options) });
  const heard: Notification[] = [];
  client.fallbackNotificationHandler = async (notification) => void heard.push(notification);
  const { onElicit, onSample, onRoots, onPing } = options;
  if (onElicit) client.setRequestHandler(ElicitRequestSchema, ({ params }) => onElicit(params) as any);
  if (onSample) client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => onSample(params) as any);
  if (onRoots) client.setRequestHandler(ListRootsRequestSchema, () => onRoots() as any);
  if (onPing) {
    client.setRequestHandler(PingRequestSchema, () => {
      onPing();
      return {};
    });
  }
  const transport =
    (options.transport as TransportV1 | undefined) ?? new HttpV1(new URL(url), requestOf(options));
  await client.connect(transport);
  return described({
    kind: 'SDK v1',
    isModern: false,
    heard,
    revision: () => (transport instanceof HttpV1 ? transport.protocolVersion : undefined),
    serverInfo: () => client.getServerVersion(),
    capabilities: () => client.getServerCapabilities(),
    tools: () =>
      allPages(async (cursor) => {
        const { tools, nextCursor } = await client.listTools(cursor === undefined ? {} : { cursor });
        return { entries: tools, nextCursor };
      }),
    call: async (name, args = {}, { signal, onProgress } = {}) =>
      (await client.callTool({ name, arguments: args }, undefined, {
        ...(signal && { signal }),
        ...(onProgress && { onprogress: onProgress }),
      })) as CallResult,
    resourceUris: () =>
      allPages(async (cursor) => {
        const { resources, nextCursor } = await client.listResources(cursor === undefined ? {} : { cursor });
        return { entries: resources.map(({ uri }) => uri), nextCursor };
      }),
    templates: async () =>
      (await client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate),
    read: async (uri) => (await client.readResource({ uri })).contents as any,
    promptNames: async () => (await client.listPrompts()).prompts.map(({ name }) => name),
    prompt: async (name, args) => (await client.getPrompt({ name, arguments: args })).messages,
    complete: async (ref, argument) =>
      (await client.complete({ ref: ref as any, argument })).completion.values,
    setLevel: (level) => client.setLoggingLevel(level),
    subscribe: (uri) => client.subscribeResource({ uri }),
    request: (method, params) => client.request({ method, params } as any, z.any()),
    rootsChanged: () => client.sendRootsListChanged(),
    terminate: async () => {
      if (transport instanceof HttpV1) await transport.terminateSession();
    },
    vanish: () => client.close(),
  });
}

type Described = Omit<OfficialClient, 'say' | 'toolNames' | 'close'> & { terminate(): Promise<void> };

function described({ terminate, ...client }: Described): OfficialClient {
  return {
    ...client,
    toolNames: async () => (await client.tools()).map(({ name }) => name),
    say: async (name, args, options) => {
      const { content, isError } = await client.call(name, args, options);
      const said = content.find(({ type }) => type === 'text')?.text ?? '';
      if (isError) throw new Error(`${name} failed: ${said}`);
      return said;
    },
    async close() {
      await terminate();
      await client.vanish();
    },
  };
}

async function allPages<Entry>(
  page: (cursor: string | undefined) => Promise<{ entries: Entry[]; nextCursor?: string | undefined }>,
): Promise<Entry[]> {
  const all: Entry[] = [];
  let cursor: string | undefined;
  do {
    const { entries, nextCursor } = await page(cursor);
    all.push(...entries);
    cursor = nextCursor;
  } while (cursor !== undefined);
  return all;
}
