import fc from 'fast-check';
import { stringify } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parseToml } from './parse-toml.js';
import type { Position, SourceNode } from './source-tree.js';
import { locateTomlValues, tomlPlaceKey } from './toml-positions.js';

const TEXT = `# a comment with [brackets] = "and quotes"
title = "x" # trailing
[gateway.listen]
port = 8080
"allowed_hosts" = [ "a", # first
  'b', """
c""" ]
tls.cert_file = 'x'

[[upstreams]]
name = "one"
http = { url = "u", headers = { "X-A" = "1" } }
[[upstreams]]
name = """two
lines"""
[upstreams.stdio]
command = "c"
args = []
`;

describe('locateTomlValues', () => {
  const places = locateTomlValues(TEXT);
  it.each<[(string | number)[], Position, Position]>([
    [['title'], { line: 2, column: 1 }, { line: 2, column: 9 }],
    [['gateway', 'listen'], { line: 3, column: 1 }, { line: 3, column: 1 }],
    [['gateway', 'listen', 'port'], { line: 4, column: 1 }, { line: 4, column: 8 }],
    [['gateway', 'listen', 'allowed_hosts', 0], { line: 5, column: 21 }, { line: 5, column: 21 }],
    [['gateway', 'listen', 'allowed_hosts', 1], { line: 6, column: 3 }, { line: 6, column: 3 }],
    [['gateway', 'listen', 'allowed_hosts', 2], { line: 6, column: 8 }, { line: 6, column: 8 }],
    [['gateway', 'listen', 'tls', 'cert_file'], { line: 8, column: 1 }, { line: 8, column: 17 }],
    [['upstreams', 0, 'name'], { line: 11, column: 1 }, { line: 11, column: 8 }],
    [['upstreams', 0, 'http', 'url'], { line: 12, column: 10 }, { line: 12, column: 16 }],
    [['upstreams', 0, 'http', 'headers', 'X-A'], { line: 12, column: 33 }, { line: 12, column: 41 }],
    [['upstreams', 1, 'name'], { line: 14, column: 1 }, { line: 14, column: 8 }],
    [['upstreams', 1, 'stdio'], { line: 16, column: 1 }, { line: 16, column: 1 }],
    [['upstreams', 1, 'stdio', 'command'], { line: 17, column: 1 }, { line: 17, column: 11 }],
    [['upstreams', 1, 'stdio', 'args'], { line: 18, column: 1 }, { line: 18, column: 8 }],
  ])('finds %j', (path, key, value) => {
    expect(places.get(tomlPlaceKey(path))).toMatchObject({ key, value });
  });

  it('finds a value of its own place for every scalar of any document', () => {
    const scalar = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean());
    const { tree } = fc.letrec((tie) => ({
      tree: fc.dictionary(fc.string({ minLength: 1 }), tie('value'), { minKeys: 1, maxKeys: 4 }),
      value: fc.oneof({ depthSize: 'small' }, scalar, fc.array(scalar, { maxLength: 3 }), tie('tree')),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        const text = stringify(value as Record<string, never>);
        const parsed = parseToml(text);
        if ('problems' in parsed) throw new Error(parsed.problems[0]?.message);
        const lines = text.split('\n');
        for (const node of scalars(parsed.root)) {
          const { line, column } = node.position;
          expect(lines[line - 1]?.slice(column - 1).startsWith(node.raw.split('\n')[0] ?? '')).toBe(true);
          if (typeof node.value !== 'string') expect(node.raw).toBe(String(node.value));
          else expect(node.raw).toMatch(/^(["'])[^]*\1$/);
        }
      }),
    );
  });
});

function scalars(node: SourceNode): (SourceNode & { kind: 'scalar' })[] {
  if (node.kind === 'scalar') return [node];
  const children = node.kind === 'list' ? node.items : node.entries.map(({ value }) => value);
  return children.flatMap(scalars);
}
