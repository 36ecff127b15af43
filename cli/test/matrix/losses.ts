import { expect } from 'vitest';
import { beginSession } from '../stories/raw-http.js';
import type { Era } from './era.js';
import type { Bench } from './pair.js';

/** Something that one era cannot say to the other. */
export interface Loss {
  /** As the documentation says it. */
  readonly name: string;
  readonly client: Era;
  readonly server: Era;
  /** Resolves with what is seen instead, for the documentation; rejects when it is something else. */
  check(bench: Bench): Promise<string>;
}

/** An error with which the gateway refuses what cannot be said. */
interface Refused {
  readonly code: number;
  readonly message: string;
  readonly data: Readonly<Record<string, string>>;
}

const REVISIONS: Readonly<Record<Era, string>> = { modern: '2026-07-28', legacy: '2025-11-25' };

/** The error says what cannot be said, by whom to whom, and where that is written. */
async function refusal(bench: Bench, feature: string, call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => expect.fail(`${feature} was answered`),
    (thrown: Refused) => thrown,
  );
  const { client, server } = bench.pair;
  expect(error).toMatchObject({
    code: -31005,
    data: {
      feature,
      clientRevision: REVISIONS[client],
      serverRevision: REVISIONS[server.era],
      specification: expect.stringMatching(/^\d{4}-\d{2}-\d{2}, [\w/]+, "/),
    },
  });
  for (const said of Object.values(error.data)) expect(error.message).toContain(said);
  return `error ${error.code}: ${error.message.slice(error.message.indexOf(feature))}`;
}

function refusedMethod(method: string, params: Record<string, unknown>, client: Era, server: Era): Loss {
  return {
    name: `\`${method}\``,
    client,
    server,
    check: async (bench) => refusal(bench, method, (await bench.client).request(method, params)),
  };
}

function errorAsAnswer(asks: string, tool: string, args: Record<string, unknown>): Loss {
  return {
    name: `an error as the answer to \`${asks}\``,
    client: 'legacy',
    server: 'modern',
    async check(bench) {
      const client = await bench.client;
      bench.person.action = 'error';
      const call = client.call(bench.name(tool), args).finally(() => {
        bench.person.action = 'accept';
      });
      return refusal(bench, `an error as the answer to ${asks}`, call);
    },
  };
}

function capabilities(client: Era, server: Era): Loss {
  return {
    name: 'changes of roots, and tasks on the side of the client',
    client,
    server,
    async check(bench) {
      const told = JSON.parse(await (await bench.client).say(bench.name('test_capabilities')));
      expect(told).toMatchObject({ elicitation: {}, sampling: {}, roots: {} });
      expect(told.roots).toEqual({});
      expect(told).not.toHaveProperty('tasks');
      return 'the server is told that the client has neither';
    },
  };
}

export const LOSSES: readonly Loss[] = [
  refusedMethod('tasks/list', {}, 'legacy', 'modern'),
  refusedMethod('tasks/get', { taskId: 't' }, 'legacy', 'modern'),
  refusedMethod('tasks/get', { taskId: 't' }, 'modern', 'legacy'),
  refusedMethod('tasks/update', { taskId: 't', inputResponses: {} }, 'modern', 'legacy'),
  capabilities('legacy', 'modern'),
  capabilities('modern', 'legacy'),
  errorAsAnswer('sampling/createMessage', 'test_sampling', { prompt: 'Say something' }),
  errorAsAnswer('roots/list', 'test_input_required_result_list_roots', {}),
  {
    name: 'an error as the answer to `elicitation/create`',
    client: 'legacy',
    server: 'modern',
    async check(bench) {
      const client = await bench.client;
      bench.person.action = 'error';
      const said = await client.say(bench.name('test_elicitation'), { message: 'Who?' }).finally(() => {
        bench.person.action = 'accept';
      });
      expect(said).toBe('The user chose to cancel');
      return 'the server hears that the person has cancelled';
    },
  },
  {
    name: 'structured content that is no object, and an output schema for it',
    client: 'legacy',
    server: 'modern',
    async check(bench) {
      const client = await bench.client;
      const tool = (await client.tools()).find(({ name }) => name === bench.name('test_structured_list'));
      expect(tool).toBeDefined();
      expect(tool).not.toHaveProperty('outputSchema');
      const result = await client.call(bench.name('test_structured_list'));
      expect(result).not.toHaveProperty('structuredContent');
      expect(result.content[0]?.text).toBe('["rain","snow"]');
      return 'both are left out; the text stays';
    },
  },
  {
    name: 'audio for a client of 2024-11-05, links to resources for one older than 2025-06-18',
    client: 'legacy',
    server: 'modern',
    async check(bench) {
      const session = await beginSession(bench.url, { revision: '2024-11-05' });
      const call = { name: bench.name('test_audio_content'), arguments: {} };
      const { result } = await session.ask('tools/call', call);
      await session.end();
      expect(result.content).toEqual([
        { type: 'text', text: '[audio (audio/wav), for which MCP 2024-11-05 has no content]' },
      ]);
      return 'a text in its place, with what can be said of it';
    },
  },
];
