// @ts-check
// What the plain server says: one session's messages, and the tools.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';

/**
 * @typedef {Record<string, any>} Message
 * @typedef {(message: Message) => void} Send
 *
 * @typedef {object} Settings
 * @property {'legacy' | 'modern'} era
 * @property {string} name
 * @property {string[]} extraTools tools that echo, under these names
 * @property {number} pageSize entries in one page of a list
 * @property {number} listsAfterMs how long every list takes
 * @property {string[]} askingTools tools that echo, and are shown only to clients that declare elicitation
 * @property {string} logLevel what a session hears that has not said `logging/setLevel`
 *
 * @typedef {object} Call
 * @property {PlainSession} session
 * @property {Message} request
 * @property {AbortSignal} signal the client does not wait any more
 * @property {Send} send to the client, on the call's own stream
 */

const LEGACY_REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
const MODERN_REVISION = '2026-07-28';
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const RESOURCE_NOT_FOUND = -32002;

/** What every sentence of {@link bigText} holds: all lengths of UTF-8, and what JSON has to escape. */
const SENTENCE = 'Größe ✓ 漢字 🚀 "quoted" \\ back\tslash\u2028\u0001 ';

/** @param {number} bytes at least this many bytes of UTF-8 */
export function bigText(bytes) {
  return SENTENCE.repeat(Math.ceil(bytes / Buffer.byteLength(SENTENCE)));
}

/** @param {string} text */
export const digestOf = (text) => createHash('sha256').update(text).digest('hex');

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

/** Resources whose URIs are hard to carry; each reads as its own URI. */
export const AWKWARD_URIS = [
  'note://plain',
  'note://host/a%20b%2Fc?q=1&r=%C3%A4#part',
  'note://host/a+b+c',
  'NOTE://Upper/Case',
  'urn:isbn:0451450523',
  'file:///C:/with%20space/ü.txt',
  'ui://panel/main',
  'no-scheme-at-all',
];

const TOOLS_CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

/** What outlives a session. */
export class PlainWorld {
  /** @type {Map<string, () => void>} calls of `wait` by their key */
  waiting = new Map();
  /** @type {string[]} keys of the calls of `wait` that were cancelled */
  interrupted = [];
  /** @type {Set<PlainSession>} */
  sessions = new Set();
  /** @type {Set<Send>} streams of `subscriptions/listen` */
  subscriptions = new Set();

  /** @param {Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.toolNames = [...settings.extraTools, ...TOOLS.keys()];
  }

  /** @param {string} name */
  addTool(name) {
    this.toolNames.push(name);
    for (const session of this.sessions) session.sendOutside(TOOLS_CHANGED);
    for (const send of this.subscriptions) send(TOOLS_CHANGED);
  }

  /**
   * In the legacy era only sessions hear of it that are shown it.
   * @param {string} name
   */
  addAskingTool(name) {
    this.settings.askingTools.push(name);
    for (const session of this.sessions)
      if (session.hello?.capabilities.elicitation !== undefined) session.sendOutside(TOOLS_CHANGED);
    for (const send of this.subscriptions) send(TOOLS_CHANGED);
  }
}

/** @param {string} text */
const text = (text) => ({ content: [{ type: 'text', text }] });

/** @param {Record<string, object>} properties */
const takes = (properties) => ({ type: 'object', properties });
const STRING = { type: 'string' };
const NUMBER = { type: 'number' };

/** @type {Map<string, { inputSchema: object, run(args: any, call: Call): object | Promise<object> }>} */
const TOOLS = new Map(
  Object.entries({
    echo: { inputSchema: takes({ text: STRING }), run: ({ text: said }) => text(String(said)) },
    whoami: {
      inputSchema: takes({}),
      run: (_, { session }) =>
        text(JSON.stringify({ name: session.world.settings.name, pid: process.pid, hello: session.hello })),
    },
    /** Counts the calls of its session. */
    count: { inputSchema: takes({}), run: (_, { session }) => text(String(++session.count)) },
    /** Waits for `release` of the same key, with progress meanwhile where there is a token. */
    wait: {
      inputSchema: takes({ key: STRING, stepMs: NUMBER }),
      run: ({ key, stepMs = 50 }, { session, request, signal, send }) =>
        new Promise((resolve) => {
          const progressToken = request.params._meta?.progressToken;
          let progress = 0;
          const timer = setInterval(() => {
            if (progressToken === undefined) return;
            progress += 1;
            send(notification('notifications/progress', { progressToken, progress, message: key }));
          }, stepMs);
          const end = (/** @type {string} */ how) => {
            clearInterval(timer);
            session.world.waiting.delete(key);
            resolve(text(how));
          };
          session.world.waiting.set(key, () => end(`${key} was released`));
          signal.addEventListener('abort', () => {
            session.world.interrupted.push(key);
            end(`${key} was interrupted`);
          });
        }),
    },
    release: {
      inputSchema: takes({ key: STRING }),
      run: ({ key }, { session }) => {
        session.world.waiting.get(key)?.();
        return text('released');
      },
    },
    /** Which calls of `wait` are under way, and which were cancelled. */
    waits: {
      inputSchema: takes({}),
      run: (_, { session: { world } }) =>
        text(JSON.stringify({ waiting: [...world.waiting.keys()], interrupted: world.interrupted })),
    },
    /** Waits until there is such a file: for a story in which nobody can be asked to release it. */
    wait_for_file: {
      inputSchema: takes({ path: STRING, text: STRING }),
      run: async ({ path, text: said }) => {
        while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
        return text(String(said));
      },
    },
    slow: {
      inputSchema: takes({ ms: NUMBER, text: STRING }),
      run: async ({ ms, text: said }) => {
        await new Promise((resolve) => setTimeout(resolve, ms));
        return text(String(said));
      },
    },
    big: {
      inputSchema: takes({ bytes: NUMBER }),
      run: ({ bytes }) => text(bigText(bytes)),
    },
    digest: { inputSchema: takes({ text: STRING }), run: ({ text: said }) => text(digestOf(said)) },
    say: {
      inputSchema: takes({ level: STRING, text: STRING }),
      run: ({ level, text: data }, { send, session }) => {
        if (LEVELS.indexOf(level) >= LEVELS.indexOf(session.logLevel))
          send(notification('notifications/message', { level, logger: 'plain', data }));
        return text('said');
      },
    },
    add_tool: {
      inputSchema: takes({ name: STRING }),
      run: ({ name }, { session }) => {
        session.world.addTool(name);
        return text(`added ${name}`);
      },
    },
    add_asking_tool: {
      inputSchema: takes({ name: STRING }),
      run: ({ name }, { session }) => {
        session.world.addAskingTool(name);
        return text(`added ${name}`);
      },
    },
    /**
     * Asks the client within the call: on its stream, or with `outside` on the one for what belongs to no call. With
     * `needed` it fails when there is no answer.
     */
    ask: {
      inputSchema: takes({
        method: STRING,
        params: { type: 'object' },
        outside: { type: 'boolean' },
        needed: { type: 'boolean' },
      }),
      run: async ({ method, params, outside, needed }, { session, send }) => {
        const answer = await session.ask(method, params, outside ? session.sendOutside : send);
        return { ...text(JSON.stringify(answer)), ...(needed && answer.error && { isError: true }) };
      },
    },
    /** Asks the client when the call has ended; `answers` tells what became of it. */
    ask_later: {
      inputSchema: takes({ method: STRING, params: { type: 'object' } }),
      run: ({ method, params }, { session }) => {
        setTimeout(
          async () => session.answers.push(await session.ask(method, params, session.sendOutside)),
          20,
        );
        return text('asked later');
      },
    },
    answers: { inputSchema: takes({}), run: (_, { session }) => text(JSON.stringify(session.answers)) },
    crash: { inputSchema: takes({}), run: () => process.exit(3) },
  }),
);

/** @param {string} method @param {object} params */
const notification = (method, params) => ({ jsonrpc: '2.0', method, params });

/** The server's side of one connection. In the modern era every request is complete by itself. */
export class PlainSession {
  count = 0;
  /** @type {any} params of `initialize` */
  hello = undefined;
  /** @type {unknown[]} */
  answers = [];
  /** @type {Map<unknown, AbortController>} */
  #running = new Map();
  /** @type {Map<string, (answer: Message) => void>} */
  #asked = new Map();
  #askCount = 0;

  /**
   * @param {PlainWorld} world
   * @param {Send} sendOutside what belongs to no request
   */
  constructor(world, sendOutside) {
    this.world = world;
    this.sendOutside = sendOutside;
    this.logLevel = world.settings.logLevel;
    world.sessions.add(this);
  }

  close() {
    this.world.sessions.delete(this);
    for (const controller of this.#running.values()) controller.abort();
  }

  /** @param {unknown} id */
  cancel(id) {
    this.#running.get(id)?.abort();
  }

  /**
   * @param {string} method
   * @param {object | undefined} params
   * @param {Send} send
   */
  ask(method, params, send) {
    const id = `ask-${++this.#askCount}`;
    send({ jsonrpc: '2.0', id, method, params });
    return new Promise((resolve) =>
      this.#asked.set(id, ({ result, error }) => resolve(error === undefined ? { result } : { error })),
    );
  }

  /**
   * @param {Message} message
   * @param {Send} send
   */
  async receive(message, send) {
    if (message.method === undefined) {
      this.#asked.get(message.id)?.(message);
      return;
    }
    if (message.id === undefined) {
      if (message.method === 'notifications/cancelled') this.cancel(message.params.requestId);
      return;
    }
    const controller = new AbortController();
    this.#running.set(message.id, controller);
    try {
      const result = await this.#answer(message, controller.signal, send);
      if (!controller.signal.aborted) send({ jsonrpc: '2.0', id: message.id, result });
    } catch (thrown) {
      const { code, message: said } = /** @type {any} */ (thrown);
      send({ jsonrpc: '2.0', id: message.id, error: { code: code ?? INVALID_PARAMS, message: said } });
    } finally {
      this.#running.delete(message.id);
    }
  }

  /**
   * @param {Message} request
   * @param {AbortSignal} signal
   * @param {Send} send
   * @returns {Promise<object>}
   */
  async #answer(request, signal, send) {
    const { era } = this.world.settings;
    const { method, params = {} } = request;
    if (era === 'modern' && params._meta?.['io.modelcontextprotocol/protocolVersion'] === undefined) {
      throw refusal(METHOD_NOT_FOUND, `Method not found: ${method} without the _meta of ${MODERN_REVISION}`);
    }
    const result = await this.#result(method, params, { session: this, request, signal, send });
    if (era === 'legacy') return result;
    const caching = method.endsWith('/list') || method === 'resources/read';
    return { resultType: 'complete', ...(caching && { ttlMs: 0, cacheScope: 'private' }), ...result };
  }

  /**
   * @param {string} method
   * @param {Message} params
   * @param {Call} call
   */
  async #result(method, params, call) {
    const { settings } = this.world;
    if (method.endsWith('/list') && settings.listsAfterMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, settings.listsAfterMs));
    }
    const isLegacy = settings.era === 'legacy';
    switch (method) {
      case isLegacy ? 'initialize' : 'server/discover':
        return this.#introduce(params);
      case 'ping':
        return {};
      case 'logging/setLevel':
        this.logLevel = params.level;
        return {};
      case 'tools/list':
        return this.#page('tools', this.#toolNames(params).map(toolEntry), params.cursor);
      case 'tools/call':
        return this.#call(params, call);
      case 'resources/list':
        return this.#page('resources', AWKWARD_URIS.map(resourceEntry), params.cursor);
      case 'resources/read':
        if (AWKWARD_URIS.includes(params.uri)) return { contents: [{ uri: params.uri, text: params.uri }] };
        throw refusal(isLegacy ? RESOURCE_NOT_FOUND : INVALID_PARAMS, `Resource not found: ${params.uri}`);
      default:
        throw refusal(METHOD_NOT_FOUND, `Method not found: ${method}`);
    }
  }

  /** @param {Message} params */
  #toolNames(params) {
    const { settings, toolNames } = this.world;
    const said = params._meta?.['io.modelcontextprotocol/clientCapabilities'] ?? this.hello?.capabilities;
    return said?.elicitation === undefined ? toolNames : [...settings.askingTools, ...toolNames];
  }

  /** @param {Message} params */
  #introduce(params) {
    const { settings } = this.world;
    const capabilities = { tools: { listChanged: true }, resources: {}, logging: {} };
    const serverInfo = { name: settings.name, version: '1.0.0' };
    if (settings.era === 'modern') {
      const _meta = { 'io.modelcontextprotocol/serverInfo': serverInfo };
      return { supportedVersions: [MODERN_REVISION], capabilities, ttlMs: 0, cacheScope: 'private', _meta };
    }
    this.hello = params;
    const protocolVersion =
      LEGACY_REVISIONS.find((each) => each === params.protocolVersion) ?? LEGACY_REVISIONS[0];
    return { protocolVersion, capabilities, serverInfo };
  }

  /**
   * @param {string} member
   * @param {object[]} entries
   * @param {string} [cursor]
   */
  #page(member, entries, cursor) {
    const start = Number(cursor ?? 0);
    const end = start + this.world.settings.pageSize;
    return { [member]: entries.slice(start, end), ...(end < entries.length && { nextCursor: String(end) }) };
  }

  /**
   * @param {Message} params
   * @param {Call} call
   */
  async #call(params, call) {
    const { name, arguments: args = {} } = params;
    const tool = TOOLS.get(name);
    if (tool !== undefined) return tool.run(args, call);
    if (!this.#toolNames(params).includes(name)) throw refusal(INVALID_PARAMS, `Unknown tool: ${name}`);
    return text(`${name} of ${this.world.settings.name}`);
  }
}

/** @param {number} code @param {string} message */
const refusal = (code, message) => Object.assign(new Error(message), { code });

/** @param {string} name */
const toolEntry = (name) => ({
  name,
  description: `The tool ${name}`,
  inputSchema: TOOLS.get(name)?.inputSchema ?? takes({}),
});

/** @param {string} uri */
const resourceEntry = (uri) => ({ uri, name: uri, mimeType: 'text/plain' });
