import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { RED_PIXEL_PNG } from '../fixture/media.mjs';
import { bigText } from '../fixture/wire-tools.mjs';
import { type Bench, FORM, ROOTS } from './pair.js';
import { until } from './until.js';

/** One row of the matrix: something that a user sees, whoever talks to whom. */
export interface Feature {
  /** As the documentation says it. */
  readonly name: string;
  /** What the user sees, in a sentence that the documentation repeats. */
  readonly sees: string;
  /** Rejects when this client with this server does not see it. */
  check(bench: Bench): Promise<void>;
  /** The tool that asks the client, and with what; such a question may have nobody who could be asked. */
  readonly asks?: readonly [tool: string, args: Readonly<Record<string, unknown>>];
}

const WATCHED = 'test://watched-resource';
const UNCHANGING = 'test://static-text';
const BIG_BYTES = 1024 * 1024;
const MISSING = 'test://no-such-resource';

export const FEATURES: readonly Feature[] = [
  {
    name: 'call',
    sees: "the text of a tool's result, and an argument that has to be mirrored into a header",
    async check(bench) {
      const client = await bench.client;
      expect(await client.toolNames()).toContain(bench.name('test_x_mcp_header'));
      expect(await client.say(bench.name('test_simple_text'))).toBe(
        'This is a simple text response for testing.',
      );
      expect(await client.say(bench.name('test_x_mcp_header'), { region: 'eu-1' })).toBe('region: eu-1');
    },
  },
  {
    name: 'structured result',
    sees: 'the object, and the same as text',
    async check(bench) {
      const { structuredContent, content } = await (await bench.client).call(bench.name('test_structured'), {
        city: 'Zürich ✓',
      });
      expect(structuredContent).toEqual({ city: 'Zürich ✓', degrees: -0.5, hours: [6, 12, 18] });
      expect(JSON.parse(String(content[0]?.text))).toEqual(structuredContent);
    },
  },
  {
    name: 'error',
    sees: 'a tool that fails, a tool that is not there, and a resource that is not there, each as its revision says it',
    async check(bench) {
      const client = await bench.client;
      const failed = await client.call(bench.name('test_error_handling'));
      expect(failed).toMatchObject({
        isError: true,
        content: [{ text: 'This tool intentionally returns an error for testing' }],
      });
      await expect(client.call(bench.name('no_such_tool'))).rejects.toMatchObject({
        code: -32602,
        message: expect.stringContaining('no_such_tool'),
      });
      const { client: era, server } = bench.pair;
      // Between two of one era the server's own code passes, and the fixture's is the modern one in both.
      const isTranslated = era === 'legacy' && server.era === 'modern';
      const uri = bench.uri(MISSING);
      await expect(client.read(uri)).rejects.toMatchObject({
        code: isTranslated ? -32002 : -32602,
        data: { uri },
      });
    },
  },
  {
    name: 'progress',
    sees: 'every step in order, under the token of its own call, before the result',
    async check(bench) {
      const client = await bench.client;
      const runs = [1, 2].map(async () => {
        const seen: unknown[] = [];
        const onProgress = ({ progress, total }: { progress: number; total?: number }) =>
          seen.push(`${progress} of ${total}`);
        await client.say(bench.name('test_tool_with_progress'), {}, { onProgress });
        expect(seen).toEqual(['0 of 100', '50 of 100', '100 of 100']);
      });
      await Promise.all(runs);
    },
  },
  {
    name: 'cancellation',
    sees: 'the call stops at the server',
    async check(bench) {
      const client = await bench.client;
      const file = join(bench.folder, randomUUID());
      const says = () => readFile(file, 'utf8').catch(() => undefined);
      const stop = new AbortController();
      const ended = client.call(bench.name('test_wait'), { file }, { signal: stop.signal }).then(
        () => 'answered',
        () => 'cancelled',
      );
      await until('the call runs', async () => (await says()) === 'running');
      stop.abort();
      expect(await ended).toBe('cancelled');
      await until('the server has stopped it', async () => (await says()) === 'interrupted');
    },
  },
  {
    name: 'elicitation',
    sees: "the server's form and page reach the person, and the answers reach the running tool",
    asks: ['test_elicitation', { message: 'Who?' }],
    async check(bench) {
      const client = await bench.client;
      const { person } = bench;
      const message = `Who? ${randomUUID()}`;
      const tool = bench.name('test_elicitation');
      expect(await client.say(tool, { message })).toBe(
        `User response: action=accept, content=${JSON.stringify(FORM)}`,
      );
      expect(person.asked.at(-1)).toBe(message);
      person.action = 'decline';
      const declined = await client.say(tool, { message }).finally(() => {
        person.action = 'accept';
      });
      expect(declined).toBe('The user chose to decline');
      const url = `https://example.org/consent?a=1&b=${randomUUID()}`;
      expect(await client.say(bench.name('test_url_elicitation'), { url })).toBe('The user chose to accept');
      expect(person.asked.at(-1)).toBe(url);
    },
  },
  {
    name: 'page first',
    sees: 'a call runs when the person has looked at a page; between two legacy ends it is refused until then',
    async check(bench) {
      const client = await bench.client;
      const { person, pair } = bench;
      const url = `https://example.org/connect?a=${randomUUID()}`;
      const file = join(bench.folder, randomUUID());
      person.onPage = () => writeFileSync(file, 'looked at');
      const call = () => client.say(bench.name('test_page_first'), { url, file });
      if (pair.client === 'legacy' && pair.server.era === 'legacy') {
        const refusal = await call().catch((error) => error);
        expect(refusal).toMatchObject({ code: -32042, data: { elicitations: [{ url }] } });
        person.onPage();
      }
      expect(await call().finally(() => delete person.onPage)).toBe('The page was looked at');
      if (pair.client === 'modern' || pair.server.era === 'modern') expect(person.asked.at(-1)).toBe(url);
    },
  },
  {
    name: 'sampling',
    sees: "the server's prompt reaches the client's model, and the completion the running tool",
    asks: ['test_sampling', { prompt: 'Say something' }],
    async check(bench) {
      const prompt = `Say ${randomUUID()}`;
      const said = await (await bench.client).say(bench.name('test_sampling'), { prompt });
      expect(said).toBe('LLM response: {"type":"text","text":"sampled ✓"}');
      expect(bench.person.asked.at(-1)).toBe(prompt);
    },
  },
  {
    name: 'roots',
    sees: "the client's folders reach the running tool",
    asks: ['test_input_required_result_list_roots', {}],
    async check(bench) {
      const said = await (await bench.client).say(bench.name('test_input_required_result_list_roots'));
      expect(said.split('\n')).toEqual(ROOTS);
      expect(bench.person.asked.at(-1)).toBe('roots');
    },
  },
  {
    name: 'log',
    sees: 'the messages of a call in order, none below the level that was asked for',
    async check(bench) {
      const client = await bench.client;
      const logged = async (logLevel: 'info' | 'error') => {
        client.heard.length = 0;
        if (!client.isModern) await client.setLevel(logLevel);
        const options = client.isModern ? { logLevel } : {};
        await client.say(bench.name('test_tool_with_logging'), {}, options);
        return client.heard
          .filter(({ method }) => method === 'notifications/message')
          .map(({ params }) => `${params.level}: ${params.data}`);
      };
      expect(await logged('info')).toEqual([
        'info: Tool execution started',
        'info: Tool processing data',
        'info: Tool execution completed',
      ]);
      expect(await logged('error')).toEqual([]);
    },
  },
  {
    name: 'subscribe',
    sees: 'an update of exactly the resource that the client watches',
    async check(bench) {
      const [client, bystander] = await Promise.all([bench.client, bench.bystander]);
      const updates = ({ heard }: typeof client) =>
        heard
          .filter(({ method }) => method === 'notifications/resources/updated')
          .map(({ params }) => params.uri);
      const watch = async (each: typeof client, uri: string) => {
        if (!each.v2) await each.subscribe(uri);
        else {
          const subscription = await each.v2.listen({ resourceSubscriptions: [uri] });
          expect(subscription.honoredFilter).toEqual({ resourceSubscriptions: [uri] });
        }
      };
      await watch(client, bench.uri(WATCHED));
      if (bystander !== undefined) await watch(bystander, bench.uri(UNCHANGING));
      client.heard.length = 0;
      await client.say(bench.name('test_trigger_resource_update'));
      await until('the client hears of the update', () => updates(client).length > 0);
      expect(new Set(updates(client))).toEqual(new Set([bench.uri(WATCHED)]));
      if (bystander === undefined) return;
      // By then whatever the other one is told has been told, too, and is read before this answer.
      await bystander.say(bench.name('test_simple_text'));
      expect(updates(bystander)).toEqual([]);
    },
  },
  {
    name: 'list_changed',
    sees: 'that the tools or prompts have changed, and the new list',
    async check(bench) {
      const client = await bench.client;
      await client.v2?.listen({ toolsListChanged: true, promptsListChanged: true });
      for (const [kind, trigger] of [
        ['tools', 'test_trigger_tool_change'],
        ['prompts', 'test_trigger_prompt_change'],
      ] as const) {
        client.heard.length = 0;
        const revision = / (\d+)$/.exec(await client.say(bench.name(trigger)))?.[1];
        const method = `notifications/${kind}/list_changed`;
        await until(`the client hears ${method}`, () => client.heard.some((each) => each.method === method));
        if (kind === 'tools') {
          const changing = async () =>
            (await client.tools()).find(({ name }) => name === bench.name('test_changing_tool'));
          await until('the list is new', async () =>
            (await changing())?.description?.endsWith(`: ${revision}`),
          );
        } else expect(await client.promptNames()).toContain(bench.name('test_changing_prompt'));
      }
    },
  },
  {
    name: 'resource',
    sees: 'its text, and its bytes',
    async check(bench) {
      const client = await bench.client;
      expect(await client.resourceUris()).toContain(bench.uri(UNCHANGING));
      expect(await client.read(bench.uri(UNCHANGING))).toEqual([
        {
          uri: bench.uri(UNCHANGING),
          mimeType: 'text/plain',
          text: 'This is the content of the static text resource.',
        },
      ]);
      const [binary] = await client.read(bench.uri('test://static-binary'));
      expect(binary).toMatchObject({ uri: bench.uri('test://static-binary'), blob: RED_PIXEL_PNG });
      const [templated] = await client.read(bench.uri('test://template/a%20b/data'));
      expect(JSON.parse(String(templated?.text)).id).toBe('a%20b');
    },
  },
  {
    name: 'prompt',
    sees: 'its messages, with the arguments in them',
    async check(bench) {
      const client = await bench.client;
      const args = { arg1: 'Größe ✓', arg2: '"two"' };
      const messages = await client.prompt(bench.name('test_prompt_with_arguments'), args);
      expect(messages).toMatchObject([
        { role: 'user', content: { text: `Prompt with arguments: arg1='Größe ✓', arg2='"two"'` } },
      ]);
    },
  },
  {
    name: 'completion',
    sees: 'the words that the server proposes',
    async check(bench) {
      const ref = { type: 'ref/prompt', name: bench.name('test_prompt_with_arguments') };
      const words = await (await bench.client).complete(ref, { name: 'arg1', value: 'par' });
      expect(words).toEqual(['paris', 'park', 'party']);
    },
  },
  {
    name: '1 MB result',
    sees: 'all of it, byte for byte',
    async check(bench) {
      const said = await (await bench.client).say(bench.name('test_big_text'), { bytes: BIG_BYTES });
      expect(said.length).toBe(bigText(BIG_BYTES).length);
      expect(said === bigText(BIG_BYTES)).toBe(true);
    },
  },
];
