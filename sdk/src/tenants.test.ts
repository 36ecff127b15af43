import { describe, expect, it } from 'vitest';
import { Admitted, Binding, compileRoute } from './engine.js';
import { definePlugin, type Identity, Refusal, Type } from './index.js';

const IDENTITY: Identity = Object.freeze({
  id: 'idp:ada',
  scopes: Object.freeze([]),
  claims: Object.freeze({}),
});
const ARRIVAL = {
  headers: {},
  repeatedHeaders: [],
  endpoint: '/mcp/acme/files',
  httpMethod: 'POST',
  transport: 'http',
  address: '',
  origin: '',
} as const;

/** A plugin that knows everybody as one identity, or gives another answer. */
function knowing(said: Identity | Refusal | undefined, tenant?: string): Binding {
  const plugin = definePlugin({
    name: 'knowing',
    version: '1.0.0',
    description: 'For a test.',
    phase: 'identity',
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: () => ({ identify: () => said }),
  });
  const host = { binding: 'knowing', clock: { now: () => 0, after: () => () => undefined } } as never;
  const events = { failed() {}, switchedOff() {}, switchedOn() {} };
  return new Binding({ plugin, config: {}, host, onFailure: 'deny', events, ...(tenant && { tenant }) });
}

async function callerAt(tenant: string | undefined, ...bindings: Binding[]): Promise<Identity | string> {
  const found = await compileRoute(bindings, '', tenant).admit(ARRIVAL);
  return found instanceof Admitted ? found.identity : found.kind;
}

describe('at an endpoint of a tenant', () => {
  it.each([undefined, 'globex', 'Acme', ''])(
    'nobody of the tenant %j comes in by a plugin of the operator',
    async (tenant) => {
      const refused = await callerAt('acme', knowing({ ...IDENTITY, tenant }));
      expect(refused).toBe('unauthenticated');
    },
  );

  it('whoever is of the tenant comes in by a plugin of the operator, as it says', async () => {
    const identity = { ...IDENTITY, tenant: 'acme' };
    expect(await callerAt('acme', knowing(identity))).toBe(identity);
  });

  it('the next plugin is asked about whom the one of the operator knows and who is of another', async () => {
    const own = knowing({ ...IDENTITY, id: 'own:ben' }, 'acme');
    expect(await callerAt('acme', knowing(IDENTITY), own)).toMatchObject({
      id: '"acme"/own:ben',
      tenant: 'acme',
    });
  });

  it('a plugin of the tenant knows its own callers alone, whatever it says', async () => {
    const own = knowing({ ...IDENTITY, tenant: 'globex' }, 'acme');
    const first = await callerAt('acme', own);
    expect(first).toMatchObject({ id: '"acme"/idp:ada', tenant: 'acme' });
  });

  it('a refusal stays one', async () => {
    const no = new Refusal('forbidden', 'no');
    for (const tenant of [undefined, 'acme'])
      expect(await callerAt('acme', knowing(no, tenant))).toBe('forbidden');
  });

  it('of the operator all come in whom its plugins know', async () => {
    for (const tenant of [undefined, 'anything'])
      expect(await callerAt(undefined, knowing({ ...IDENTITY, tenant }))).toMatchObject({
        id: 'idp:ada',
        tenant,
      });
  });
});
