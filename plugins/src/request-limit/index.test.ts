import { compileRoute } from '@sluice/sdk/engine';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import requestLimit from './index.js';

type Call = Parameters<ReturnType<typeof testPlugin>['call']>[0];

async function answer(config: object, request: Call) {
  const gateway = testPlugin(requestLimit, { config });
  const { status, outcome, headers } = await gateway.call({ tool: 'files:read', ...request });
  expect(gateway.reached).toHaveLength(status === 200 ? 1 : 0);
  return { status, headers, message: outcome.error?.message, code: outcome.error?.code };
}

describe('request-limit', () => {
  it('says before the body comes how large it may be', () => {
    const { route } = testPlugin(requestLimit, { config: { max_body_bytes: '1kB' } });
    const limits: number[] = [];
    const control = { setHeader: () => undefined, limitBody: (bytes: number) => void limits.push(bytes) };
    expect(compileRoute(route.bindings).head({ headers: {} } as never, control)).toBeUndefined();
    expect(limits).toEqual([1_000]);
  });

  it.each([
    [{ max_header_count: 2 }, { a: '1', b: '2' }, 200, undefined],
    [{ max_header_count: 2 }, { a: '1', b: '2', c: '3' }, 413, 'there are more than 2 header fields'],
    [{ max_header_bytes: 6 }, { ab: '1', cd: '2' }, 200, undefined],
    [{ max_header_bytes: 6 }, { ab: '1', cd: '22' }, 413, 'the header fields are longer than 6 bytes in sum'],
    [{ max_header_value_bytes: 3 }, { a: '123', b: '123' }, 200, undefined],
    [
      { max_header_value_bytes: 3 },
      { Authorization: 'secret' },
      413,
      'the header field authorization is longer than 3 bytes',
    ],
  ])('with %j and the header fields %j answers %i', async (config, headers, status, message) => {
    expect(await answer(config, { headers: headers as Record<string, string> })).toMatchObject({
      status,
      message,
    });
  });

  it.each([
    [['POST'], 'POST', 200],
    [['POST'], 'GET', 405],
    [['POST', 'GET'], 'GET', 200],
    [['POST'], 'DELETE', 405],
    [['POST'], 'OPTIONS', 200],
    [['POST'], 'post', 405],
    [['POST'], 'PATCH', 405],
  ])('with http_methods %j answers %s with %i', async (http_methods, httpMethod, status) => {
    const said = await answer({ http_methods }, { httpMethod });
    expect(said.status).toBe(status);
    if (status === 405) expect(said.headers.allow).toBe(http_methods.join(', '));
  });

  it.each([
    [{ max_arguments_bytes: 13 }, { a: 'bcd', e: 1 }, 413, 'the arguments are larger than 13 bytes'],
    [{ max_arguments_bytes: 17 }, { a: 'bcd', e: 1 }, 200, undefined],
    [{ max_arguments_depth: 2 }, { a: { b: 1 } }, 200, undefined],
    [{ max_arguments_depth: 2 }, { a: { b: [] } }, 413, 'the arguments are nested deeper than 2'],
    [{ max_arguments_values: 3 }, { a: [1] }, 200, undefined],
    [{ max_arguments_values: 3 }, { a: [1, 2] }, 413, 'the arguments hold more than 3 values'],
    [{ max_string_bytes: 3 }, { a: 'abc' }, 200, undefined],
    [{ max_string_bytes: 3 }, { a: 'abcd' }, 413, 'the arguments hold a text that is longer than 3 bytes'],
  ])('with %j and the arguments %j answers %i', async (config, args, status, message) => {
    expect(await answer(config, { arguments: args as object as never })).toMatchObject({ status, message });
  });

  it.each(['text', 7, [[[]]]])('measures arguments that are %j', async (args) => {
    const limits = { max_arguments_bytes: 1 };
    const said = await answer(limits, { params: { name: 'read', arguments: args } });
    expect(said.status).toBe(args === 7 ? 200 : 413);
  });

  it('is asked before it is known who calls', async () => {
    const { default: authApiKey } = await import('../auth-api-key/index.js');
    const beside = [{ plugin: authApiKey, config: { hash_key: 'x'.repeat(32) } }];
    const gateway = testPlugin(requestLimit, { config: { max_header_count: 1 }, beside });
    expect((await gateway.call({ headers: { a: '1', b: '2' } })).status).toBe(413);
  });

  it.each([
    [{ max_body_bytes: 1 }, []],
    [{ max_header_count: 1, max_body_bytes: 1 }, ['headers']],
    [{ http_methods: ['POST'] }, ['httpMethod']],
    [{ max_string_bytes: 1 }, ['arguments']],
  ])('with %j reads %j', (config, reads) => {
    expect(requestLimit.reads(config)).toEqual(reads);
  });

  it.each([
    [{}, ''],
    [{ max_body_bytes: 0 }, 'max_body_bytes'],
    [{ max_body_bytes: -1 }, 'max_body_bytes'],
    [{ max_body_bytes: 1.5 }, 'max_body_bytes'],
    [{ max_body_bytes: '1 apple' }, 'max_body_bytes'],
    [{ max_header_count: 1e9 }, 'max_header_count'],
    [{ http_methods: [] }, 'http_methods'],
    [{ http_methods: ['OPTIONS'] }, 'http_methods[0]'],
    [{ http_methods: ['POST', 'POST'] }, 'http_methods'],
    [{ max_arguments_depth: 0 }, 'max_arguments_depth'],
    [{ max_size: 1 }, 'max_size'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(requestLimit, config).map((problem) => problem.path)).toContain(path);
  });
});
