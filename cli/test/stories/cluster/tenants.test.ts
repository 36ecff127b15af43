import { createApiKey } from '@sluice/plugins/credentials';
import { LimitKey, LimitPeriod } from '@sluice/proto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { resource } from '../../../../control-plane/test/delivering.js';
import { closeClients, connect } from '../official-client.js';
import { beginSession, lastMessage } from '../raw-http.js';
import { HASH_KEY, OWNERS, type Owner, PLACES, type Proof, TenantCluster } from './tenant-cluster.js';

/* "We share a gateway with people whom we do not know, and they call their things as we do." */

const KINDS = ['SDK v2 2026-07-28', 'SDK v1'] as const;

let cluster: TenantCluster;

beforeAll(async () => {
  cluster = await TenantCluster.start();
}, 60_000);
afterAll(async () => {
  await closeClients();
  await cluster?.stop();
});

describe.each(KINDS)('%s', (kind) => {
  // A password that is wrong is hashed each time, which takes long.
  const proofs: readonly Proof[] = kind === 'SDK v1' ? ['key'] : ['key', 'password'];

  it.each(OWNERS.flatMap((owner) => proofs.map((proof) => ({ owner, proof }))))(
    'comes in with the $proof of $owner where that owner serves, and nowhere else',
    async (who) => {
      const headers = cluster.proof(who.owner, who.proof);
      for (const owner of OWNERS)
        for (const path of PLACES[owner]) {
          const names = connect(kind, `${cluster.url}${path}`, { headers }).then((client) =>
            client.toolNames(),
          );
          if (owner !== who.owner) await expect(names, path).rejects.toThrow();
          else
            expect(
              (await names).some((name) => name.endsWith(owner === '' ? 'of_operator' : 'get-sum')),
              path,
            ).toBe(true);
        }
    },
  );

  it.each(OWNERS.flatMap((owner) => PLACES[owner]))(
    'comes in nowhere without a credential: %s',
    async (path) => {
      await expect(connect(kind, `${cluster.url}${path}`)).rejects.toThrow();
    },
  );
});

describe('what belongs to a tenant', () => {
  it('is shown at no endpoint of another, whichever lists were kept', async () => {
    for (const owner of OWNERS)
      for (const path of PLACES[owner]) {
        const client = await connect('SDK v2 2026-07-28', `${cluster.url}${path}`, {
          headers: cluster.proof(owner),
        });
        const names = (await client.toolNames()).join(' ');
        expect(/of_operator/.test(names), path).toBe(owner === '');
        expect(/get-sum/.test(names), path).toBe(owner !== '');
      }
  });

  it('has sessions that are of no use to others, at whatever path', async () => {
    const { url, headers, ask } = await beginSession(`${cluster.url}/mcp/acme/files`, {
      own: cluster.proof('acme'),
    });
    const theirs = { ...headers, ...cluster.proof('globex') };
    const list = JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'tools/list' });
    const attempts: [string, string, Record<string, string>][] = [
      ['POST', url, theirs],
      ['POST', url.replace('acme', 'globex'), theirs],
      ['POST', url.replace('acme', 'globex'), { ...headers }],
      ['POST', url.replace('acme/', ''), { ...headers, ...cluster.proof('') }],
      ['GET', url.replace('acme', 'globex'), { ...theirs, accept: 'text/event-stream' }],
      ['DELETE', url, theirs],
      ['DELETE', url.replace('acme', 'globex'), theirs],
    ];
    for (const [method, place, own] of attempts) {
      const answer = await fetch(place, { method, headers: own, ...(method === 'POST' && { body: list }) });
      expect([401, 403, 404], `${method} ${place}`).toContain(answer.status);
      await answer.body?.cancel();
    }
    // And the session is none the worse for it.
    expect((await ask('tools/list')).result.tools.length).toBeGreaterThan(3);
  });

  it('has tasks that nobody else can ask about, though one server does the work for both', async () => {
    const acme = await beginSession(`${cluster.url}/mcp/acme/files`, { own: cluster.proof('acme') });
    const globex = await beginSession(`${cluster.url}/mcp/globex/files`, { own: cluster.proof('globex') });
    const { result } = await acme.ask('tools/call', {
      name: 'simulate-research-query',
      arguments: { topic: 'sluices' },
      task: { ttl: 60_000 },
    });
    const { taskId } = result.task;
    expect((await acme.ask('tasks/get', { taskId })).result).toMatchObject({ taskId });
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel'])
      expect((await globex.ask(method, { taskId })).error, method).toBeDefined();
    const { result: theirs } = await globex.ask('tasks/list', {});
    expect(JSON.stringify(theirs ?? {})).not.toContain(taskId);
  });

  it('is watched and completed for its own callers alone', async () => {
    const acme = await connect('SDK v1', `${cluster.url}/mcp/acme/files`, { headers: cluster.proof('acme') });
    const globex = await connect('SDK v1', `${cluster.url}/mcp/globex/files`, {
      headers: cluster.proof('globex'),
    });
    const [uri = ''] = await acme.resourceUris();
    await acme.subscribe(uri);
    await acme.call('toggle-subscriber-updates');
    await vi.waitFor(
      () => expect(acme.heard.map(({ method }) => method)).toContain('notifications/resources/updated'),
      {
        timeout: 20_000,
        interval: 100,
      },
    );
    expect(globex.heard.map(({ method }) => method)).not.toContain('notifications/resources/updated');
    const about = { type: 'ref/prompt', name: 'completable-prompt' };
    expect((await acme.complete(about, { name: 'department', value: 'E' })).length).toBeGreaterThan(0);
    const headers = {
      ...cluster.proof('acme'),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    };
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'completion/complete',
      params: { ref: about, argument: { name: 'department', value: 'E' } },
    });
    expect((await fetch(`${cluster.url}/mcp/globex/files`, { method: 'POST', headers, body })).status).toBe(
      401,
    );
  });

  it('is named in no error that another may see', async () => {
    const { ask } = await beginSession(`${cluster.url}/mcp/acme/all`, { own: cluster.proof('acme') });
    const errors = [
      await ask('tools/call', { name: 'globex__echo', arguments: {} }),
      await ask('tools/call', { name: 'globex/files__echo', arguments: {} }),
      await ask('prompts/get', { name: 'nothing' }),
      await ask('resources/read', { uri: 'demo://nothing' }),
    ];
    for (const { error, result } of errors) {
      expect(error ?? result?.isError).toBeTruthy();
      expect(JSON.stringify(error ?? result).replaceAll(/globex(?:__|\/files__)echo/g, '')).not.toContain(
        'globex',
      );
    }
    const headers = {
      ...cluster.proof('acme'),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    };
    for (const path of ['/mcp/acme/nothing', '/mcp/files', '/mcp/nothing']) {
      const answer = await fetch(`${cluster.url}${path}`, { method: 'POST', headers, body: '{}' });
      const { status } = answer;
      expect([401, 404], path).toContain(status);
      expect(await answer.text(), path).not.toContain('globex');
    }
    const refused = await fetch(`${cluster.url}/mcp/globex/files`, { method: 'POST', headers, body: '{}' });
    expect(refused.status).toBe(401);
    expect(
      `${await refused.text()}${[...refused.headers]}`.replaceAll('/mcp/globex/files', ''),
    ).not.toContain('globex');
  });
});

describe('a tenant that says who its callers are', () => {
  const forged = createApiKey(HASH_KEY);
  const own = (owner: Owner) => ({ ...cluster.proof(owner) });
  const list = async (path: string, headers: Record<string, string>) => {
    const { url, headers: fields } = await beginSession(`${cluster.url}${path}`, { own: headers });
    return lastMessage(
      await fetch(url, {
        method: 'POST',
        headers: fields,
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
      }),
    );
  };

  it('spends the limits of nobody else, whatever it claims', async () => {
    const { key: _, ...entry } = forged;
    const revision = await cluster.plane.write([
      resource({
        tenant: 'acme',
        spec: {
          case: 'plugin',
          value: {
            name: 'own',
            plugin: 'auth-api-key',
            // Asked before that of the operator, which knows no such key.
            order: -1,
            config: {
              hash_key: HASH_KEY,
              keys: [{ ...entry, consumer: 'ada', tenant: 'globex', scopes: [], claims: {} }],
            },
          },
        },
      }),
      ...(
        [
          ['of-tenants', LimitKey.TENANT],
          ['of-callers', LimitKey.CONSUMER],
        ] as const
      ).map(([name, key]) =>
        resource({ spec: { case: 'limit', value: { name, key, requests: 8, per: LimitPeriod.DAY } } }),
      ),
    ]);
    const everywhere = { revision, wait: { kind: 'all' as const }, deadlineMs: 10_000 };
    expect(await cluster.plane.fleet.convergence(everywhere)).toMatchObject({ reached: true });
    let refusedCount = 0;
    for (let count = 0; count < 12; count++) {
      const said = await list('/mcp/acme/files', { 'x-api-key': forged.key }).catch(() => undefined);
      if (said?.result === undefined) refusedCount++;
    }
    expect(refusedCount).toBeGreaterThan(0);
    expect((await list('/mcp/globex/files', own('globex'))).result.tools.length).toBeGreaterThan(3);
    // What it writes into its own plugins opens nothing elsewhere.
    for (const path of ['/mcp/globex/files', '/mcp/files', '/mcp'])
      await expect(list(path, { 'x-api-key': forged.key }), path).rejects.toThrow('401');
  });
});
