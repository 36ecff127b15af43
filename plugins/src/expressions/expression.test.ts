import { describe, expect, it } from 'vitest';
import { compileExpression } from './expression.js';
import { compileTemplate } from './template.js';

function compiled(source: string, locals: string[] = []) {
  const result = compileExpression(source, locals);
  if (!result.ok) throw new Error(`${source} ${result.problem}`);
  return result.it;
}

function problem(source: string, locals: string[] = []): string {
  const result = compileExpression(source, locals);
  return result.ok ? 'none' : result.problem;
}

const value = (source: string, ctx: object = {}, locals: object = {}) =>
  compiled(source, Object.keys(locals)).value(ctx as any, locals as any);

const CTX = {
  principal: {
    id: 'ada',
    tenant: 'eu',
    claims: { team: 'a', 'https://x.example/plan': 'gold', roles: ['dev'] },
  },
  headers: { 'x-tenant': 'north' },
  arguments: { limit: 20, query: 'cats', tags: ['a', 'b'], nested: { deep: true } },
  method: 'tools/call',
  target: { kind: 'tool', upstream: 'files', name: 'read' },
  client: { name: 'a client' },
};

describe('an expression', () => {
  it.each<[string, unknown]>([
    ['principal.id', 'ada'],
    ['principal.claims.team + "-" + principal.tenant', 'a-eu'],
    ['principal.claims["https://x.example/plan"] == "gold"', true],
    ['"dev" in principal.claims.roles', true],
    ['headers["x-tenant"]', 'north'],
    ['"x-tenant" in headers', true],
    ['"x-other" in headers', false],
    ['has(principal.claims.team) && !has(principal.consumer)', true],
    ['arguments.limit > 10 ? "many" : "few"', 'many'],
    ['arguments.limit * 2.0', 40],
    ['int(arguments.limit) + 1', 21],
    ['arguments.tags.map(tag, tag + "!")', ['a!', 'b!']],
    ['{"who": principal.id, "all": [1, 2.5, null, true]}', { who: 'ada', all: [1, 2.5, null, true] }],
    ['target.upstream + ":" + target.name', 'files:read'],
    ['client.name', 'a client'],
    ['arguments.query.matches("^c.t")', true],
    ['arguments.tags.exists(tag, tag.matches("b$"))', true],
    ['timestamp("2027-01-31T00:00:00Z")', '2027-01-31T00:00:00.000Z'],
  ])('%s', (source, expected) => {
    expect(value(source, CTX)).toEqual(expected);
  });

  it.each<[string, string[]]>([
    ['principal.id == arguments.owner.id', ['arguments', 'principal.id']],
    ['principal.claims.team.name', ['principal.claims.team']],
    ['principal.claims["https://x.example/plan"]', ['principal.claims.https://x.example/plan']],
    ['principal.claims[method]', ['method', 'principal.claims']],
    ['principal.claims.team == "a" || principal.claims[method] == 1', ['method', 'principal.claims']],
    ['"x-a" in headers && headers["x-b"] != ""', ['headers.x-a', 'headers.x-b']],
    ['arguments.list.exists(x, x == principal.tenant)', ['arguments', 'principal.tenant']],
    ['[1, 2].exists(session, session == 1)', []],
    ['"text"', []],
  ])('%s reads %j', (source, reads) => {
    expect(compiled(source).reads).toEqual(reads);
  });

  it.each<[string, RegExp]>([
    ['1 +', /^is no expression: unexpected token/],
    ['"a" + 1', /^is no expression: no such overload/],
    ['', /^is no expression/],
    ['nothing.here', /unknown variable: nothing/],
    ['principal', /reads all of principal; it has id,/],
    ['principal.password', /reads principal.password; it has id,/],
    ['headers', /reads all headers/],
    ['headers[method]', /reads all headers/],
    ['headers["X-Tenant"]', /in lower case: x-tenant/],
    ['headers.authorization', /never handed on/],
    ['headers["cookie"]', /never handed on/],
    ['"authorization" in headers', /never handed on/],
    ['client.secret', /it has name and version/],
    ['arguments.q.matches(arguments.pattern)', /not written out/],
    ['arguments.q.matches("(")', /which is none/],
    ['arguments.q.matches("(?=a)")', /which is none/],
    ['arguments.q.matches("(?:[a-z]{900}){9}[a-z]{900}{9}")', /which (?:is none|repeats too much)/],
    ['cel.bind(x, arguments.a + arguments.a, x + x)', /cel.bind/],
    ['arguments.a.all(x, arguments.b.all(y, x == y))', /over something else than a part of x/],
    ['arguments.a.all(x, x.b.all(y, x.b.all(z, z == y)))', /over something else than a part of y/],
    [`${'('.repeat(40)}1${')'.repeat(40)}`, /is no expression/],
    [`"${'a'.repeat(5_000)}"`, /longer than 4096/],
    ['result.a', /unknown variable: result/],
  ])('%s is refused at once', (source, message) => {
    expect(problem(source)).toMatch(message);
  });

  it('goes over parts of what an outer macro goes over', () => {
    const ctx = { arguments: { a: [{ b: [1, 2] }, { b: [3] }] } };
    expect(value('arguments.a.exists(x, x.b.exists(y, y == 3.0))', ctx)).toBe(true);
  });

  it.each<[string, object, RegExp]>([
    ['arguments.limit > 1', { arguments: {} }, /^no such key: limit$/],
    ['arguments.limit > 1', { arguments: { limit: 'the secret' } }, /^no such overload: dyn<string> > int$/],
    ['principal.tenant', { principal: {} }, /no such key: tenant/],
    ['arguments.a / 0.0', { arguments: { a: 1 } }, /none that JSON has/],
    ['bytes(arguments.a).json()', { arguments: { a: '{secret' } }, /^it cannot be computed$/],
    ['b"abc"', {}, /none that JSON has/],
    ['type(1)', {}, /none that JSON has/],
    ['duration("1s")', {}, /none that JSON has/],
    ['9223372036854775807', {}, /none that JSON has/],
    ['arguments.a.matches("a")', { arguments: { a: 'a'.repeat(20_000) } }, /not held against a pattern/],
    ['arguments.a.all(x, x == 1.0)', { arguments: { a: Array(10_000).fill(1) } }, /too much to go over/],
    ['arguments.a.all(x, x == "")', { arguments: { a: ['a'.repeat(300_000)] } }, /too much to go over/],
  ])('%s has no value for %.0s, and says why without it', (source, ctx, message) => {
    expect(() => value(source, ctx)).toThrow(message);
    expect(() => value(source, ctx)).not.toThrow(/secret/);
  });

  it('cannot be made to hang by a text, wherever the pattern stands', () => {
    const ctx = { arguments: { q: `${'a'.repeat(16_000)}!`, l: [{ q: `${'a'.repeat(16_000)}!` }] } };
    for (const source of [
      'arguments.q.matches("^(a+)+$")',
      'arguments.l.exists(x, x.q.matches("^(a+)+$"))',
      'arguments.l.filter(x, x.q.matches("^(a+)+$")).size() == 1',
      'arguments.l.map(x, x.q.matches("^(a+)+$"))[0]',
      'arguments.l.map(x, x.q.matches("^(a+)+$"), true).size() == 1',
      'arguments.l[0].q.matches("^(a+)+$") ? true : false',
      '{"a": arguments.q.matches("^(a+)+$")}["a"]',
    ])
      expect(value(source, ctx)).toBe(false);
  });

  it.each([
    'arguments.constructor',
    'arguments["__proto__"]',
    'arguments.toString',
    'principal.claims.constructor',
    'principal.claims["__proto__"]',
    'headers.constructor',
    '"constructor" in headers',
  ])('%s is refused at once', (source) => {
    expect(problem(source)).toMatch(/which is no name of a value/);
  });

  it.each([
    'arguments[arguments.k]',
    'arguments.tags[arguments.k]',
    'arguments.query[arguments.k]',
    'arguments.nested.deep[arguments.k]',
    'principal.claims[arguments.k]',
    'principal.claims.team[arguments.k]',
  ])('%s finds nothing that is no own member', (source) => {
    for (const k of ['constructor', '__proto__', 'prototype', 'toString', 'length']) {
      const ctx = { ...CTX, arguments: { ...CTX.arguments, k } };
      expect(() => value(source, ctx)).toThrow(/no such key|no such overload/);
    }
  });

  it('builds nothing with a prototype', () => {
    for (const source of ['{"__proto__": {"polluted": true}}', '{arguments.k: {"polluted": true}}']) {
      try {
        expect(value(source, { arguments: { k: '__proto__' } })).not.toHaveProperty('polluted');
      } catch (error) {
        expect(error).toMatchObject({ name: 'NoValue' });
      }
    }
    expect(({} as any).polluted).toBeUndefined();
    const own = JSON.parse('{"__proto__":{"polluted":true},"a":1}');
    const copy = value('arguments', { arguments: own });
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(JSON.stringify(copy)).toBe('{"__proto__":{"polluted":true},"a":1}');
  });
});

describe('a template', () => {
  const text = (source: string, ctx: object = CTX) => {
    const result = compileTemplate(source);
    if (!result.ok) throw new Error(result.problem);
    return result.it.text(ctx as any, {});
  };

  it.each([
    ['plain', 'plain'],
    ['{{principal.id}}', 'ada'],
    ['tenant {{ principal.tenant }}, limit {{arguments.limit}}, {{true}}', 'tenant eu, limit 20, true'],
    ['{{"{{"}}x}}', '{{x}}'],
  ])('%s', (source, expected) => {
    expect(text(source)).toBe(expected);
  });

  it.each([
    ['{{principal.id', /has \{\{ without \}\} behind it/],
    ['a {{principal.nothing}}', /\{\{principal.nothing\}\} reads principal.nothing/],
    ['{{}}', /is no expression/],
    ['{{constructor.constructor("return 1")()}}', /is no expression/],
    ['{{__proto__}}', /is no expression/],
  ])('%s is refused at once', (source, message) => {
    expect(() => text(source)).toThrow(message);
  });

  it.each([
    ['{{arguments.tags}}', /a list or an object/],
    ['{{null}}', /nothing stands/],
    ['{{principal.consumer}}', /no such key/],
  ])('%s has no text', (source, message) => {
    expect(() => text(source)).toThrow(message);
  });

  it('does not look into what it puts in', () => {
    expect(text('{{arguments.a}}', { arguments: { a: '{{principal.id}}' } })).toBe('{{principal.id}}');
  });
});
