import { Client, type ClientCapabilities, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/*
 * What the conformance suite hardly looks at: news that no call asked for, and what a server makes of the
 * capabilities of a client. The same in both eras, whatever lies between.
 */

const MISSING_REQUIRED_CLIENT_CAPABILITY = -32021;

const CLIENT_MODES = {
  legacy: 'legacy',
  modern: { pin: '2026-07-28' },
} as const;

type Era = keyof typeof CLIENT_MODES;

async function connect(url: string, era: Era, capabilities: ClientCapabilities = {}): Promise<Client> {
  const versionNegotiation = { mode: CLIENT_MODES[era] };
  const client = new Client({ name: 'client-cases', version: '1.0.0' }, { capabilities, versionNegotiation });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

const call = (client: Client, name: string) => client.callTool({ name, arguments: {} });

/**
 * Declares what a client of each era must find.
 *
 * @param url asked when a test runs, because a server's port is not known before
 */
export function itServesClients(url: () => string, eras: readonly Era[] = ['legacy', 'modern']): void {
  describe.each(eras)('a %s client', (era) => {
    describe('that listens', () => itHearsOfChanges(url, era));
    describe('that is asked', () => itIsAskedForWhatItDeclared(url, era));
  });
}

function itHearsOfChanges(url: () => string, era: Era): void {
  let client: Client;
  /** Where the watched resource is found: a gateway may give it another URI. */
  let watched: string;
  let news: string[] = [];

  beforeAll(async () => {
    client = await connect(url(), era);
    const { resources } = await client.listResources();
    watched = resources.find(({ description }) => description?.includes('resource_update'))?.uri ?? '';
    client.setNotificationHandler('notifications/tools/list_changed', () => void news.push('tools'));
    client.setNotificationHandler('notifications/prompts/list_changed', () => void news.push('prompts'));
    client.setNotificationHandler(
      'notifications/resources/updated',
      ({ params }) => void news.push(params.uri),
    );
    if (era === 'legacy') await client.subscribeResource({ uri: watched });
    else {
      const filter = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: [watched] };
      const { honoredFilter } = await client.listen(filter);
      expect(honoredFilter).toEqual(filter);
    }
  });
  afterAll(() => client?.close());

  /** Calls again until it is heard: a legacy client's stream may open after its first call. */
  const hear = (what: string, tool: string) =>
    expect
      .poll(async () => {
        await call(client, tool);
        return news;
      })
      .toContain(what);

  it('hears that the tools have changed, and finds them changed', async () => {
    const list = async () =>
      JSON.stringify((await client.listTools(undefined, { cacheMode: 'bypass' })).tools);
    const before = await list();
    await hear('tools', 'test_trigger_tool_change');
    await expect.poll(list).not.toBe(before);
  });

  it('hears that the prompts have changed', () => hear('prompts', 'test_trigger_prompt_change'));

  it('hears that the resource it watches has changed', () => hear(watched, 'test_trigger_resource_update'));

  it.runIf(era === 'legacy')('hears nothing of a resource that it has unsubscribed', async () => {
    await client.unsubscribeResource({ uri: watched });
    // News stay in order: when the later one is here, so is whatever came before it.
    news = [];
    await hear('tools', 'test_trigger_tool_change');
    news = [];
    await call(client, 'test_trigger_resource_update');
    await hear('prompts', 'test_trigger_prompt_change');
    expect(news).not.toContain(watched);
  });
}

function itIsAskedForWhatItDeclared(url: () => string, era: Era): void {
  it('is refused with the name of the capability that is missing', async () => {
    const client = await connect(url(), era);
    await expect(call(client, 'test_missing_capability')).rejects.toMatchObject({
      code: MISSING_REQUIRED_CLIENT_CAPABILITY,
      data: { requiredCapabilities: { sampling: {} } },
    });
    await client.close();
  });

  it('answers every ask of a round, and is asked for nothing else', async () => {
    const client = await connect(url(), era, { elicitation: {}, roots: {} });
    const asked: string[] = [];
    client.setRequestHandler('elicitation/create', () => {
      asked.push('elicitation');
      return { action: 'accept', content: { name: 'Ada' } };
    });
    client.setRequestHandler('roots/list', () => {
      asked.push('roots');
      return { roots: [{ uri: 'file:///home/ada' }] };
    });
    const { content } = await call(client, 'test_input_required_result_capabilities');
    expect(asked.sort()).toEqual(['elicitation', 'roots']);
    expect(content).toEqual([{ type: 'text', text: 'Asked for all that the client can do' }]);
    await client.close();
  });

  it('answers one ask after the other', async () => {
    const client = await connect(url(), era, { elicitation: {} });
    client.setRequestHandler('elicitation/create', ({ params }) => {
      const isFirst = params.message.startsWith('Step 1');
      const content: Record<string, string> = isFirst ? { name: 'Ada' } : { color: 'green' };
      return { action: 'accept', content };
    });
    const { content } = await call(client, 'test_input_required_result_multi_round');
    expect(content).toEqual([{ type: 'text', text: 'Ada likes green' }]);
    await client.close();
  });
}
