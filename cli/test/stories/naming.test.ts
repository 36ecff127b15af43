import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { AWKWARD_URIS } from './plain-session.mjs';
import { plain, type UpstreamEntry } from './upstreams.js';

/* "My client refuses names that are too long, and I want them to look the way I like." */

let gateway: RunningGateway;

const serve = (naming: object, upstreams: UpstreamEntry[]) => async () => {
  gateway = await startGateway({ config: { gateway: { naming }, upstreams } });
};
const stop = () => gateway?.stop();

afterEach(closeClients);

describe('names that are too long', () => {
  const longTool = (end: string) => `a_tool_whose_author_wanted_to_say_everything_in_its_name_${end}`;
  const LONG = ['first', 'second', 'a_third_one_that_does_not_even_fit_alone'].map(longTool);
  const UPSTREAM = 'an-upstream-with-a-long-name-of-forty-ch';
  const upstreams = [plain(UPSTREAM, ['--tools', LONG.join(',')]), plain('short')];

  beforeAll(serve({}, upstreams));
  afterAll(stop);

  it.each(KINDS)('%s gets at most 64 characters, and calls every tool by its name', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    const tools = await client.tools();
    const names = tools.map(({ name }) => name);
    expect(names.every((name) => /^[\w-]{1,64}$/.test(name))).toBe(true);
    expect(new Set(names).size).toBe(names.length);
    for (const tool of LONG) {
      const exposed = tools.find(({ description }) => description === `The tool ${tool}`)?.name as string;
      expect(exposed.startsWith(UPSTREAM.slice(0, 20))).toBe(true);
      expect(await client.say(exposed)).toBe(`${tool} of ${UPSTREAM}`);
    }
  });

  it('shortens the same way in every run', async () => {
    const names = async () => (await connect('SDK v1', `${gateway.url}/mcp`)).toolNames();
    const before = await names();
    await closeClients();
    await stop();
    await serve({}, [...upstreams].reverse())();
    expect((await names()).sort()).toEqual(before.sort());
  });

  it('leaves names alone on the path of the upstream', async () => {
    const client = await connect('SDK v2 auto', `${gateway.url}/mcp/${UPSTREAM}`);
    expect(await client.toolNames()).toEqual(expect.arrayContaining(LONG));
    const longest = LONG.at(-1) as string;
    expect(await client.say(longest)).toBe(`${longest} of ${UPSTREAM}`);
  });
});

describe('another separator', () => {
  beforeAll(serve({ separator: ':' }, [plain('left'), plain('right')]));
  afterAll(stop);

  it.each(KINDS)('%s calls upstream:tool', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    expect(await client.toolNames()).toEqual(expect.arrayContaining(['left:echo', 'right:echo']));
    expect(JSON.parse(await client.say('right:whoami'))).toMatchObject({ name: 'right' });
  });
});

describe('no prefix where none is needed', () => {
  beforeAll(
    serve({ mode: 'when_needed' }, [
      plain('left', ['--tools', 'only_left']),
      plain('right', ['--tools', 'only_right']),
    ]),
  );
  afterAll(stop);

  it.each(KINDS)(
    '%s finds the bare name of a tool that one has, and both names of one that two have',
    async (kind) => {
      const client = await connect(kind, `${gateway.url}/mcp`);
      const names = await client.toolNames();
      expect(names).toEqual(expect.arrayContaining(['only_left', 'only_right', 'left__echo', 'right__echo']));
      expect(names).not.toContain('echo');
      expect(await client.say('only_left')).toBe('only_left of left');
      expect(JSON.parse(await client.say('right__whoami'))).toMatchObject({ name: 'right' });
    },
  );

  it.each(KINDS)('%s is told which it can choose from when a name is ambiguous', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    await expect(client.call('echo', { text: 'whose?' })).rejects.toThrow(
      /Ambiguous tool "echo".*left__echo, right__echo/,
    );
  });

  it.each(KINDS)('%s is told what may have been meant when there is no such tool', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    await expect(client.call('only_rihgt')).rejects.toThrow(/Unknown tool: only_rihgt.*only_right/);
  });
});

describe('resources whose URIs are hard to carry', () => {
  beforeAll(serve({}, [plain('My_Notes'), plain('2nd')]));
  afterAll(stop);

  it.each(KINDS)('%s reads every one of them where it came from', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    const uris = await client.resourceUris();
    expect(new Set(uris).size).toBe(2 * AWKWARD_URIS.length);
    for (const [index, uri] of uris.entries()) {
      const [contents] = await client.read(uri);
      // The text is the URI at the upstream, as it was asked for there.
      expect(contents?.text).toBe(AWKWARD_URIS[index % AWKWARD_URIS.length]);
      expect(contents?.uri).toBe(uri);
    }
  });

  it.each(KINDS)('%s is told which resource is not there', async (kind) => {
    const client = await connect(kind, `${gateway.url}/mcp`);
    await expect(client.read('nobody+note://plain')).rejects.toThrow(/nobody\+note:\/\/plain/);
  });
});
