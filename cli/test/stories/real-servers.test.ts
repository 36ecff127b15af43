import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closeClients, connect, KINDS, type OfficialClient } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { HELLO, type RealGateway, startRealGateway } from './real-gateway.js';

/*
 * "I put the servers that everybody uses behind it, and every client that I have can use them as if it talked
 * to them directly": each official client, on the endpoint of all and on the endpoint of each.
 */

let gateway: RealGateway;

beforeAll(async () => {
  gateway = await startRealGateway();
});
afterEach(closeClients);
afterAll(() => gateway?.stop());

const EVERYTHING_NAMES = ['everything', 'everything-http'];

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name, uri } = PLACES[place];

  describe.each(KINDS)('%s', (kind) => {
    const reach = (upstream: string): Promise<OfficialClient> => connect(kind, gateway.url + path(upstream));

    describe.each(EVERYTHING_NAMES)('server-everything (%s)', (upstream) => {
      let client: OfficialClient;
      const own = (tool: string) => name(upstream, tool);

      it('lists and calls tools', async () => {
        client = await reach(upstream);
        expect(await client.toolNames()).toEqual(
          expect.arrayContaining(['echo', 'get-sum', 'get-structured-content'].map(own)),
        );
        expect(await client.say(own('echo'), { message: 'Grüße ✓' })).toBe('Echo: Grüße ✓');
        const weather = await client.call(own('get-structured-content'), { location: 'New York' });
        expect(weather.structuredContent).toEqual({ temperature: 33, conditions: 'Cloudy', humidity: 82 });
      });

      it('reads resources, by their list, by a template and by a link in a result', async () => {
        client = await reach(upstream);
        const document = uri(upstream, 'demo://resource/static/document/features.md');
        expect(await client.resourceUris()).toContain(document);
        expect(await client.read(document)).toEqual([
          expect.objectContaining({ uri: document, text: expect.stringContaining('Features') }),
        ]);
        const template = uri(upstream, 'demo://resource/dynamic/text/{resourceId}');
        expect(await client.templates()).toContain(template);
        const dynamic = template.replace('{resourceId}', '7');
        expect(await client.read(dynamic)).toEqual([
          expect.objectContaining({ uri: dynamic, text: expect.stringContaining('Resource 7') }),
        ]);
        const { content } = await client.call(own('get-resource-links'), { count: 2 });
        const link = content.find(({ type }) => type === 'resource_link')?.uri as string;
        expect((await client.read(link))[0]?.uri).toBe(link);
      });

      it('gets prompts, with what they embed, and completes their arguments', async () => {
        client = await reach(upstream);
        expect(await client.promptNames()).toContain(own('args-prompt'));
        const [message] = await client.prompt(own('args-prompt'), { city: 'Lisbon' });
        expect(message?.content).toEqual({ type: 'text', text: "What's weather in Lisbon?" });
        const embedding = await client.prompt(own('resource-prompt'), {
          resourceType: 'Text',
          resourceId: '3',
        });
        expect(embedding[1]?.content.resource.uri).toBe(uri(upstream, 'demo://resource/dynamic/text/3'));
        const ref = { type: 'ref/prompt', name: own('completable-prompt') };
        expect(await client.complete(ref, { name: 'department', value: 'S' })).toEqual(['Sales', 'Support']);
        const template = {
          type: 'ref/resource',
          uri: uri(upstream, 'demo://resource/dynamic/text/{resourceId}'),
        };
        expect(await client.complete(template, { name: 'resourceId', value: '12' })).toEqual(['12']);
      });

      it('hears the progress of a long call', async () => {
        client = await reach(upstream);
        const heard: number[] = [];
        const said = await client.say(
          own('trigger-long-running-operation'),
          { duration: 0.2, steps: 4 },
          { onProgress: ({ progress }) => heard.push(progress) },
        );
        expect(said).toContain('Steps: 4');
        expect(heard).toEqual([1, 2, 3, 4]);
      });

      it('is told by the server what is wrong with a call', async () => {
        client = await reach(upstream);
        const wrong = await client.call(own('get-sum'), { a: 'one', b: 2 }).catch((error: Error) => error);
        expect(JSON.stringify(wrong instanceof Error ? wrong.message : wrong)).toMatch(/expected number/i);
      });
    });

    it('works with files through server-filesystem', async () => {
      const client = await reach('files');
      const own = (tool: string) => name('files', tool);
      const file = join(gateway.folder, `${place} ${kind}.txt`);
      expect(await client.say(own('read_text_file'), { path: join(gateway.folder, 'hello.txt') })).toBe(
        HELLO,
      );
      await client.say(own('write_file'), { path: file, content: `written by ${kind} ✓` });
      expect(await readFile(file, 'utf8')).toBe(`written by ${kind} ✓`);
      expect(await client.say(own('list_directory'), { path: gateway.folder })).toContain('[FILE] hello.txt');
      const { isError } = await client.call(own('read_text_file'), { path: '/etc/passwd' });
      expect(isError).toBe(true);
    });

    it('remembers through server-memory', async () => {
      const client = await reach('memory');
      const own = (tool: string) => name('memory', tool);
      const entity = { name: `${place} ${kind}`, entityType: 'client', observations: ['was here'] };
      await client.say(own('create_entities'), { entities: [entity] });
      const graph = JSON.parse(await client.say(own('open_nodes'), { names: [entity.name] })) as {
        entities: object[];
      };
      expect(graph.entities).toEqual([entity]);
    });

    it('thinks through server-sequential-thinking', async () => {
      const client = await reach('thinking');
      const thought = { thought: 'first', nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 2 };
      const said = JSON.parse(await client.say(name('thinking', 'sequentialthinking'), thought)) as object;
      expect(said).toMatchObject({ thoughtNumber: 1, totalThoughts: 2, nextThoughtNeeded: true });
    });

    it('calculates through the demo server', async () => {
      const client = await reach('demo');
      const { structuredContent } = await client.call(name('demo', 'calculator'), {
        operation: 'multiply',
        a: 6,
        b: 7,
      });
      expect(structuredContent).toEqual({ result: 42 });
    });

    it('hears the log messages of a call that it asked for, and no others', async () => {
      const client = await reach('fixture');
      if (!client.isModern) await client.setLevel('info');
      await client.say(name('fixture', 'test_tool_with_logging'), {}, { logLevel: 'info' });
      const logs = () => client.heard.filter(({ method }) => method === 'notifications/message');
      await expect
        .poll(() => logs().map(({ params }) => params.data), { timeout: 10_000 })
        .toEqual(['Tool execution started', 'Tool processing data', 'Tool execution completed']);
      if (client.isModern) await client.say(name('fixture', 'test_tool_with_logging'));
      else {
        await client.setLevel('error');
        await client.say(name('fixture', 'test_tool_with_logging'));
      }
      expect(logs()).toHaveLength(3);
    });
  });
});
