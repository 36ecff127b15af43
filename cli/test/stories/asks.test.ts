import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { metric } from './gateway-metrics.js';
import {
  type ConnectOptions,
  closeClients,
  connect,
  LEGACY_KINDS,
  type OfficialClient,
} from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { lastMessage, postModern } from './raw-http.js';
import {
  everything,
  filesystem,
  type HttpServer,
  plain,
  startEverything,
  startFixtureOn,
  startPlain,
} from './upstreams.js';

/* "My server asks me something in the middle of its work, or out of the blue, and the question reaches me." */

const MODERN_KINDS = ['SDK v2 auto', 'SDK v2 2026-07-28'] as const;
const PATIENCE = { timeout: 10_000 };

/** The stories are told of several nodes. */
const areNodes = process.env.SLUICE_TEST_NODES !== undefined;

let gateway: RunningGateway;
let servers: HttpServer[] = [];

async function serve(upstreams: object[]): Promise<void> {
  gateway = await startGateway({ config: { upstreams } });
}

async function stop(): Promise<void> {
  await closeClients();
  await gateway?.stop();
  await Promise.all(servers.map((server) => server.kill()));
  servers = [];
}

const onElicit = () => ({ action: 'accept', content: { name: 'Ada', check: true } });
const onSample = () => ({
  role: 'assistant',
  model: 'a-model',
  content: { type: 'text', text: 'sampled ✓' },
});
const rootsOf = (name: string) => () => ({ roots: [{ uri: `file:///home/${name}`, name }] });

describe('server-everything', () => {
  beforeAll(async () => {
    servers = [await startEverything()];
    await serve([
      everything({ sharing: 'per_session' }),
      { name: 'everything-http', url: servers[0]?.url as string },
    ]);
  });
  afterAll(stop);

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    describe.each(LEGACY_KINDS)('%s', (kind) => {
      describe.each(['everything', 'everything-http'])('%s', (upstream) => {
        const own = (tool: string) => name(upstream, tool);
        const asked: string[] = [];
        let who = 'ada';
        let client: OfficialClient;

        beforeAll(async () => {
          client = await connect(kind, gateway.url + path(upstream), {
            onElicit: ({ mode, message, url }) => {
              asked.push(mode === 'url' ? url : message);
              return message.includes('refuse') ? { action: 'decline' } : onElicit();
            },
            onSample: ({ messages }) => {
              asked.push(messages[0].content.text);
              return onSample();
            },
            onRoots: () => {
              asked.push('roots');
              return rootsOf(who)();
            },
          });
          // On the path of all, a session at the upstream begins when the first list is asked for.
          expect(await client.toolNames()).toEqual(
            expect.arrayContaining(
              ['trigger-elicitation-request', 'trigger-sampling-request', 'get-roots-list'].map(own),
            ),
          );
        });
        afterAll(closeClients);

        it('asks for the roots outside any call, and again when they have changed', async () => {
          await expect.poll(() => asked, PATIENCE).toContain('roots');
          const roots = () => client.say(own('get-roots-list'));
          await expect.poll(roots, PATIENCE).toContain('file:///home/ada');
          who = 'ben';
          await client.rootsChanged();
          await expect.poll(roots, PATIENCE).toContain('file:///home/ben');
        });

        it('asks the user with a form', async () => {
          const { content } = await client.call(own('trigger-elicitation-request'));
          expect(asked.at(-1)).toBe('Please provide inputs for the following fields:');
          expect(content[1]?.text).toContain('- Name: Ada');
        });

        it('sends the user to a page, who opens it or does not', async () => {
          const url = 'https://example.org/consent?a=1&b=2';
          expect(await client.say(own('trigger-url-elicitation'), { url })).toContain('completed');
          expect(asked.at(-1)).toBe(url);
          const said = await client.say(own('trigger-url-elicitation'), { url, message: 'refuse' });
          expect(said).toContain('declined');
        });

        it("asks the client's model", async () => {
          const said = await client.say(own('trigger-sampling-request'), { prompt: 'Hello' });
          expect(said).toContain('sampled ✓');
          expect(asked.at(-1)).toBe('Resource trigger-sampling-request context: Hello');
        });

        it('offers its asking tools only to a client that can be asked', async () => {
          const mute = await connect(kind, gateway.url + path(upstream));
          const names = await mute.toolNames();
          expect(names).toContain(own('echo'));
          expect(names).not.toContain(own('trigger-elicitation-request'));
          expect(names).not.toContain(own('trigger-sampling-request'));
        });
      });
    });

    describe.each(MODERN_KINDS)('%s', (kind) => {
      describe.each(['everything', 'everything-http'])('%s', (upstream) => {
        const own = (tool: string) => name(upstream, tool);

        it('offers its asking tools to a client that can be asked, and asks it when they are called', async () => {
          const client = await connect(kind, gateway.url + path(upstream), { onElicit, onSample });
          await expect
            .poll(() => client.toolNames(), PATIENCE)
            .toEqual(
              expect.arrayContaining(['trigger-elicitation-request', 'trigger-sampling-request'].map(own)),
            );
          const { content } = await client.call(own('trigger-elicitation-request'));
          expect(content[1]?.text).toContain('- Name: Ada');
        });

        it('can be asked by a tool that it was never shown', async () => {
          const client = await connect(kind, gateway.url + path(upstream), { onSample });
          const said = await client.say(own('trigger-sampling-request'), { prompt: 'Hello' });
          expect(said).toContain('sampled ✓');
        });

        it('offers no asking tools to a client that cannot be asked', async () => {
          const mute = await connect(kind, gateway.url + path(upstream));
          const names = await mute.toolNames();
          expect(names).toContain(own('echo'));
          expect(names).not.toContain(own('trigger-elicitation-request'));
        });
      });
    });
  });
});

/** What the fixture asks in the middle of a call, the tool that does, and what it says in the end. */
const QUESTIONS = [
  ['elicitation', 'test_input_required_result_elicitation', /Hello, Ada!/],
  ['sampling', 'test_input_required_result_sampling', /sampled ✓/],
  ['roots', 'test_input_required_result_list_roots', /file:\/\/\/home\/ada/],
  ['all of them at once', 'test_input_required_result_multiple_inputs', /Three answers for Ada/],
] as const;

describe('a server of either era', () => {
  beforeAll(async () => {
    servers = await Promise.all([startFixtureOn(0, 'modern'), startFixtureOn(0, 'legacy')]);
    await serve([
      { name: 'modern', url: servers[0]?.url },
      { name: 'legacy', url: servers[1]?.url },
    ]);
  });
  afterAll(stop);

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    describe.each([...LEGACY_KINDS, ...MODERN_KINDS])('%s', (kind) => {
      describe.each(['modern', 'legacy'])('is asked by a %s server', (upstream) => {
        it.each(QUESTIONS)('%s', async (_, tool, says) => {
          const client = await connect(kind, gateway.url + path(upstream), {
            onElicit,
            onSample,
            onRoots: rootsOf('ada'),
          });
          expect(await client.say(name(upstream, tool))).toMatch(says);
        });
      });
    });
  });

  it.each(['modern', 'legacy'])(
    'of %s, on the path of all, takes back its state with what it was given for',
    async (upstream) => {
      const capabilities = { elicitation: {}, sampling: {}, roots: {} };
      const { name } = PLACES['the path of all'];
      const call = {
        name: name(upstream, 'test_input_required_result_multiple_inputs'),
        arguments: { a: 1 },
      };
      const send = async (params: { name?: string; [key: string]: unknown }) =>
        lastMessage(await postModern(`${gateway.url}/mcp`, 'tools/call', params, capabilities));
      const { inputRequests, requestState } = (await send(call)).result;
      const answers = { elicitation: onElicit, sampling: onSample, roots: rootsOf('ada') } as Record<
        string,
        () => object
      >;
      const inputResponses = Object.fromEntries(
        Object.entries(inputRequests as Record<string, { method: string }>).map(([key, { method }]) => [
          key,
          answers[method.split('/')[0] ?? '']?.(),
        ]),
      );
      const retry = { ...call, inputResponses, requestState };
      const altered = `${requestState.slice(0, -9)}${requestState.at(-9) === 'A' ? 'B' : 'A'}${requestState.slice(-8)}`;
      for (const wrong of [
        { ...retry, arguments: { a: 2 } },
        { ...retry, name: name(upstream, 'test_input_required_result_multi_round') },
        { ...retry, requestState: altered },
      ]) {
        expect((await send(wrong)).error).toMatchObject({
          code: -32602,
          message: expect.stringContaining('Invalid `requestState`'),
        });
      }
      expect((await send(retry)).result.content[0].text).toMatch(/Three answers for Ada/);
    },
  );
});

const FORM = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const WHO = { method: 'elicitation/create', params: { message: 'Who?', requestedSchema: FORM } };

describe('a server over pipes', () => {
  beforeAll(() =>
    serve([plain('own-process', [], { sharing: 'per_session', max_processes: 16 }), plain('shared')]),
  );
  afterAll(stop);

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    it.each(LEGACY_KINDS)('%s: pings and asks at any time, when its process is its own', async (kind) => {
      let pings = 0;
      const client = await connect(kind, gateway.url + path('own-process'), {
        onElicit,
        onPing: () => {
          pings += 1;
        },
      });
      const own = (tool: string) => name('own-process', tool);
      expect(JSON.parse(await client.say(own('ask'), WHO))).toEqual({ result: onElicit() });
      await client.say(own('ask_later'), WHO);
      await client.say(own('ask_later'), { method: 'ping' });
      await expect
        .poll(async () => JSON.parse(await client.say(own('answers'))), PATIENCE)
        .toEqual(expect.arrayContaining([{ result: onElicit() }, { result: {} }]));
      expect(pings).toBe(1);
    });

    it.each([...LEGACY_KINDS, ...MODERN_KINDS])(
      '%s: is told what to set when it asks over a process that is shared',
      async (kind) => {
        const client = await connect(kind, gateway.url + path('shared'), { onElicit });
        const { error } = JSON.parse(await client.say(name('shared', 'ask'), WHO));
        expect(error.message).toContain('sharing: per_session');
      },
    );

    describe.each(MODERN_KINDS)('%s, whose calls have a process each', (kind) => {
      const own = (tool: string) => name('own-process', tool);
      const whoIs = (who: string) => ({ ...WHO, params: { ...WHO.params, message: who } });

      it('is asked for a form, a completion and its roots', async () => {
        const client = await connect(kind, gateway.url + path('own-process'), {
          onElicit,
          onSample,
          onRoots: rootsOf('ada'),
        });
        const ask = async (method: string, params: object) =>
          JSON.parse(await client.say(own('ask'), { method, params })).result;
        expect(await ask('elicitation/create', WHO.params)).toEqual(onElicit());
        const messages = [{ role: 'user', content: { type: 'text', text: 'Hello' } }];
        expect(await ask('sampling/createMessage', { messages, maxTokens: 9 })).toEqual(onSample());
        expect((await ask('roots/list', {})).roots).toEqual(rootsOf('ada')().roots);
      });

      it('is asked in several calls at once, and each question is that of its own call', async () => {
        const client = await connect(kind, gateway.url + path('own-process'), {
          onElicit: ({ message }) => ({ action: 'accept', content: { name: message } }),
        });
        const names = ['ada', 'ben', 'cleo', 'dora'];
        const said = await Promise.all(names.map((who) => client.say(own('ask'), whoIs(who))));
        expect(said.map((text) => JSON.parse(text).result.content.name)).toEqual(names);
      });

      it.skipIf(areNodes)(
        'finds the process again in the next call (one node: each has its own)',
        async () => {
          const client = await connect(kind, gateway.url + path('own-process'), { onElicit });
          const pid = async () => JSON.parse(await client.say(own('whoami'))).pid;
          const first = await pid();
          await client.say(own('ask'), WHO);
          expect(await pid()).toBe(first);
        },
      );
    });
  });
});

describe('a server that may have one process more', () => {
  beforeAll(() => serve([plain('one-process', [], { sharing: 'per_session', max_processes: 1 })]));
  afterAll(stop);

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    describe.each(MODERN_KINDS)('%s', (kind) => {
      it.skipIf(areNodes)(
        'is refused a call for which there is no process left, and told which setting says so (one node: each has its own)',
        async () => {
          let answer: (() => void) | undefined;
          const asked = new Promise<void>((resolve) => {
            answer = resolve;
          });
          const client = await connect(kind, gateway.url + path('one-process'), {
            onElicit: async () => {
              const refused = client.say(name('one-process', 'echo'), { text: 'me too' });
              await expect(refused).rejects.toThrow('max_processes');
              answer?.();
              return onElicit();
            },
          });
          const said = await client.say(name('one-process', 'ask'), WHO);
          await asked;
          expect(JSON.parse(said)).toEqual({ result: onElicit() });
          expect(await client.say(name('one-process', 'echo'), { text: 'now' })).toBe('now');
        },
      );
    });
  });
});

describe('a server over HTTP that asks on the stream for what belongs to no call', () => {
  beforeAll(async () => {
    servers = [await startPlain()];
    await serve([{ name: 'plain', url: servers[0]?.url as string }]);
  });
  afterAll(stop);

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    it.each([...LEGACY_KINDS, ...MODERN_KINDS])('%s: is asked all the same', async (kind) => {
      const client = await connect(kind, gateway.url + path('plain'), { onElicit });
      const said = await client.say(name('plain', 'ask'), { ...WHO, outside: true });
      expect(JSON.parse(said)).toEqual({ result: onElicit() });
    });
  });
});

// Its configuration file is changed, which nodes of a test do not have.
describe('a legacy server that asks for what the client did not declare', () => {
  beforeAll(async () => {
    servers = [await startPlain()];
    await serve([{ name: 'http', url: servers[0]?.url }, plain('pipe', [], { sharing: 'per_session' })]);
  });
  afterAll(stop);

  const SAMPLE = { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } };
  const PAGE = {
    method: 'elicitation/create',
    params: { mode: 'url', message: 'Look!', url: 'https://a.test' },
  };
  const FORM_ONLY = { elicitation: { form: {} } };

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];

    it.each([
      ['http', 'nothing at all', {}, SAMPLE, { sampling: {} }],
      ['http', 'forms only', FORM_ONLY, SAMPLE, { sampling: {} }],
      ['http', 'forms only', FORM_ONLY, PAGE, { elicitation: { url: {} } }],
      ['pipe', 'forms only', FORM_ONLY, SAMPLE, { sampling: {} }],
      ['pipe', 'forms only', FORM_ONLY, PAGE, { elicitation: { url: {} } }],
    ])('(%s) which can do %s: %j %j', async (upstream, _, capabilities, question, requiredCapabilities) => {
      const ask = (needed: boolean) =>
        postModern(
          gateway.url + path(upstream),
          'tools/call',
          { name: name(upstream, 'ask'), arguments: { ...question, needed } },
          capabilities,
        );
      const failed = await ask(true);
      expect(failed.status).toBe(400);
      expect((await lastMessage(failed)).error).toMatchObject({
        code: -32021,
        data: { requiredCapabilities },
      });
      // One that gets along without is not stopped.
      const { result } = await lastMessage(await ask(false));
      expect([result.resultType, result.content[0].text]).toEqual([
        'complete',
        expect.stringContaining('"error"'),
      ]);
    });
  });
});

describe.skipIf(areNodes)('a gateway in which one call may wait for its client (one with a file)', () => {
  const waiting = (max_parked_calls: number) => ({
    gateway: { sessions: { max_parked_calls } },
    upstreams: [plain('plain', [], { sharing: 'per_session' })],
  });
  const asked = (message: string) => ({ ...WHO, params: { ...WHO.params, message } });

  beforeAll(async () => {
    gateway = await startGateway({ config: waiting(1) });
  });
  afterAll(stop);

  it.each(MODERN_KINDS)('%s: one more is refused, until more may', async (kind) => {
    await writeFile(gateway.configFile, JSON.stringify(waiting(1)));
    let count: number | undefined;
    /** What became of a call that asks while another one waits. */
    let second = '';
    const client = await connect(kind, `${gateway.url}/mcp/plain`, {
      onElicit: async ({ message }) => {
        if (message === 'first') {
          count = await metric(gateway.url, 'sluice_parked_calls');
          second = await client.say('ask', asked('second')).catch((thrown: Error) => thrown.message);
        }
        return onElicit();
      },
    });
    const outcome = async () => {
      expect(JSON.parse(await client.say('ask', asked('first')))).toEqual({ result: onElicit() });
      return second;
    };
    await expect.poll(outcome, PATIENCE).toContain('gateway.sessions.max_parked_calls');
    expect(count).toBe(1);
    expect(await metric(gateway.url, 'sluice_parked_calls')).toBe(0);
    await writeFile(gateway.configFile, JSON.stringify(waiting(2)));
    await expect.poll(outcome, PATIENCE).toBe(JSON.stringify({ result: onElicit() }));
  });
});

describe('two clients of one server', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
    for (const name of ['configured', 'ada', 'ben']) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'whose.txt'), name);
    }
    await serve([filesystem(join(folder, 'configured'), { sharing: 'per_session' })]);
  });
  afterAll(async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  });

  describe.each(PLACE_NAMES)('on %s', (place) => {
    const { path, name } = PLACES[place];
    const reach = (options: ConnectOptions) => connect('SDK v2 legacy', gateway.url + path('files'), options);

    it('each offer a folder of their own, and see no other', async () => {
      const root = (who: string) => ({
        onRoots: () => ({ roots: [{ uri: pathToFileURL(join(folder, who)).href, name: who }] }),
      });
      const [ada, ben, nobody] = await Promise.all([reach(root('ada')), reach(root('ben')), reach({})]);
      const folders = (client: OfficialClient) => client.say(name('files', 'list_allowed_directories'));
      await expect.poll(() => folders(ada), PATIENCE).toContain(join(folder, 'ada'));
      await expect.poll(() => folders(ben), PATIENCE).toContain(join(folder, 'ben'));
      expect(await folders(nobody)).toContain(join(folder, 'configured'));
      const stolen = await ben.call(name('files', 'read_text_file'), {
        path: join(folder, 'ada', 'whose.txt'),
      });
      expect(stolen.isError).toBe(true);
      const own = await ben.say(name('files', 'read_text_file'), { path: join(folder, 'ben', 'whose.txt') });
      expect(own).toBe('ben');
    });
  });
});
