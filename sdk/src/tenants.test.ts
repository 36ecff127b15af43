import { describe, expect, it } from 'vitest';
import { Admitted, Binding, type Call, compileRoute, Exchange, Outcome } from './engine.js';
import { definePlugin, type Hooks, type Identity, type Phase, Refusal, Type } from './index.js';

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
  return bindingOf('identity', { identify: () => said }, tenant);
}

function bindingOf(phase: Phase, hooks: Hooks, tenant: string | undefined): Binding {
  const plugin = definePlugin({
    name: 'tried',
    version: '1.0.0',
    description: 'For a test.',
    phase,
    config: Type.Object({}),
    reads: [],
    changes: [],
    hooks: () => hooks,
  });
  const host = { binding: 'tried', clock: { now: () => 0, after: () => () => undefined } } as never;
  const events = { failed() {}, switchedOff() {}, switchedOn() {} };
  return new Binding({ plugin, config: {}, host, onFailure: 'deny', events, ...(tenant && { tenant }) });
}

function deciding(decide: NonNullable<Hooks['decide']>, tenant?: string): Binding {
  return bindingOf('decision', { decide }, tenant);
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

describe('what a tenant permits', () => {
  const target = (upstream: string) => ({ kind: 'tool', upstream, name: 'tool' }) as const;

  async function isPermitted(upstreams: readonly string[], ...bindings: Binding[]): Promise<boolean> {
    const targets = upstreams.map(target);
    const call = { arrival: ARRIVAL, method: 'tools/call', targets, params: {}, client: {} };
    const known = Exchange.identified(call as unknown as Call, Admitted.as(IDENTITY));
    const route = compileRoute(bindings, '', 'acme');
    const outcome = await route.to(() => Outcome.ofResult({}))(known);
    const alone = await Promise.all(targets.map((one) => route.permits(known, one, 'tools/call')));
    expect(alone.every(Boolean)).toBe(outcome.refusal === undefined);
    return outcome.refusal === undefined;
  }

  const permitting = (tenant?: string) => deciding(() => 'permit', tenant);
  const silent = deciding(() => undefined);

  it('is what the tenant has, where the operator decides too', async () => {
    for (const own of [permitting('acme'), deciding(async () => 'permit' as const, 'acme')]) {
      expect(await isPermitted(['acme/files'], silent, own)).toBe(true);
      expect(await isPermitted(['files'], silent, own)).toBe(false);
      expect(await isPermitted(['acme/files', 'files'], silent, own)).toBe(false);
      expect(await isPermitted(['acmes/files'], silent, own)).toBe(false);
    }
  });

  it('is everything where the operator decides nothing, and what both permit', async () => {
    expect(await isPermitted(['files'], permitting('acme'))).toBe(true);
    expect(await isPermitted(['files'], permitting(), permitting('acme'))).toBe(true);
    expect(await isPermitted(['files'], permitting())).toBe(true);
  });

  it('does not hide what it refuses', async () => {
    const refusing = deciding(() => new Refusal('forbidden', 'no'), 'acme');
    expect(await isPermitted(['files'], permitting(), refusing)).toBe(false);
  });
});
