import { testPlugin } from '@sluice/sdk/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import policy from './index.js';

/* What a list hides is always refused, and what it shows can be called with some arguments. */

const RUNS = process.env.SLUICE_TEST_FULL === undefined ? 60 : 2_000;
const TOOLS = ['files:read', 'files:write', 'crm:read'];
/** What a caller may pass for one argument; undefined makes a condition that reads it have no value. */
const VALUES = [true, false, undefined];

type Tree = { op: string; of: Tree[] } | { known: string } | { open: true };

const known = fc.constantFrom(
  'target.name == "read"',
  'target.upstream == "files"',
  '"w" in principal.scopes',
  'principal.claims.missing == 1',
  'headers["x-a"] == "1"',
);

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    known.map((text): Tree => ({ known: text })),
    fc.constant<Tree>({ open: true }),
    fc.record({ op: fc.constantFrom('&&', '||'), of: fc.tuple(tie('tree'), tie('tree')) }),
    fc.record({ op: fc.constant('!'), of: fc.tuple(tie('tree')) }),
    fc.record({ op: fc.constant('?'), of: fc.tuple(tie('tree'), tie('tree'), tie('tree')) }),
  ),
}));

const rule = fc.record({
  tree,
  outcome: fc.constantFrom('allow', 'deny'),
  mode: fc.constantFrom('enforce', 'enforce', 'audit'),
  targets: fc.option(fc.constantFrom(['files:*'], ['*:read'], ['crm:read', 'files:write']), {
    nil: undefined,
  }),
});

const policies = fc.record({
  default: fc.constantFrom('allow', 'deny'),
  rules: fc.array(rule, { minLength: 1, maxLength: 4 }),
});

type Policies = typeof policies extends fc.Arbitrary<infer T> ? T : never;

/** @param next names the argument that stands at an open place. */
function textOf(node: Tree, next: () => string): string {
  if ('known' in node) return node.known;
  if ('open' in node) return `arguments.${next()} == true`;
  const [a = '', b, c] = node.of.map((each) => `(${textOf(each, next)})`);
  if (node.op === '!') return `!${a}`;
  return node.op === '?' ? `${a} ? ${b} : ${c}` : `${a} ${node.op} ${b}`;
}

function configOf({ default: otherwise, rules }: Policies, names: () => string) {
  return {
    default: otherwise,
    rules: rules.map(({ tree: own, outcome, mode, targets }, index) => ({
      id: `r${index}`,
      when: textOf(own, names),
      outcome,
      mode,
      ...(targets && { match: { targets } }),
    })),
  };
}

/** All ways to pass so many arguments; those that are undefined are left out. */
function* argumentsOf(count: number): Generator<Record<string, boolean>> {
  for (let way = 0; way < VALUES.length ** count; way++) {
    const entries: [string, boolean][] = [];
    for (let index = 0; index < count; index++) {
      const value = VALUES[Math.floor(way / VALUES.length ** index) % VALUES.length];
      if (value !== undefined) entries.push([`a${index}`, value]);
    }
    yield Object.fromEntries(entries);
  }
}

async function disagreements(config: object, count: number, isExact: boolean) {
  const upstream = ({ method }: { method: string }) =>
    method === 'tools/list' ? { tools: TOOLS.map((name) => ({ name })) } : {};
  const gateway = testPlugin(policy, { config, upstream });
  const { outcome } = await gateway.call({ method: 'tools/list' });
  const shown = (outcome.result as { tools: { name: string }[] }).tools.map(({ name }) => name);
  const found: string[] = [];
  for (const tool of TOOLS) {
    let passes = false;
    for (const args of argumentsOf(count))
      passes ||= (await gateway.call({ tool, arguments: args })).status === 200;
    if (passes && !shown.includes(tool)) found.push(`${tool} is hidden, and can be called`);
    if (isExact && !passes && shown.includes(tool)) found.push(`${tool} is shown, and cannot be called`);
  }
  return found;
}

describe('lists and calls', () => {
  it('agree exactly where each argument is read once', async () => {
    await fc.assert(
      fc.asyncProperty(policies, async (each) => {
        let count = 0;
        const config = configOf(each, () => `a${count++}`);
        fc.pre(count <= 4);
        expect(await disagreements(config, count, true)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  }, 60_000);

  it('never hide what can be called, however often arguments are read', async () => {
    await fc.assert(
      fc.asyncProperty(policies, fc.infiniteStream(fc.nat(2)), async (each, picks) => {
        const config = configOf(each, () => `a${picks.next().value}`);
        expect(await disagreements(config, 3, false)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  }, 60_000);
});
