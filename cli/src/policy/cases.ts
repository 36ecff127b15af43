/** Test cases of policies, in a file beside the configuration. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { formatProblem, parseYamlValue } from '@sluice/control-plane';
import { type ResolvedPlugin, resolveConfiguration } from '@sluice/proto';
import { type ConfigProblem, definePlugin, type Static, Type } from '@sluice/sdk';
import { findFile, OWN_VARIABLES, readConfiguration } from '../configuration.js';
import type { Output } from '../health.js';
import { Unusable, WrongUsage } from '../unusable.js';

const CASES = /\.test\.(ya?ml|json)$/;
const ENDINGS = ['.yaml', '.yml', '.json', '.toml'];

const Text = (description: string) => Type.String({ minLength: 1, description });
/** How often a request is made that came before. */
const MAX_TIMES = 10_000;
const Exact = { additionalProperties: false };

const Request = Type.Object(
  {
    tool: Type.Optional(Text('upstream:name')),
    prompt: Type.Optional(Text('upstream:name')),
    resource: Type.Optional(Text('upstream:uri')),
    method: Type.Optional(Text('default is that with which the target is used')),
    arguments: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    principal: Type.Optional(
      Type.Object(
        {
          id: Type.Optional(Type.String()),
          consumer: Type.Optional(Type.String()),
          tenant: Type.Optional(Type.String()),
          scopes: Type.Optional(Type.Array(Type.String())),
          claims: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        },
        Exact,
      ),
    ),
    client: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(Type.String()),
          version: Type.Optional(Type.String()),
          capabilities: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
        },
        Exact,
      ),
    ),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    session: Type.Optional(Type.String()),
    endpoint: Type.Optional(Type.String()),
    at: Type.Optional(Text('a time as in RFC 3339')),
    times: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_TIMES, description: 'how often, of one that came before' }),
    ),
  },
  Exact,
);
export type CaseRequest = Static<typeof Request>;

const Outcome = Type.Union([Type.Literal('allow'), Type.Literal('deny'), Type.Literal('ask')]);

const Case = Type.Object(
  {
    name: Text('what the case says'),
    after: Type.Array(Request, { default: [], description: 'requests that came before' }),
    request: Request,
    person: Type.Union([Type.Literal('accept'), Type.Literal('decline'), Type.Literal('cancel')], {
      default: 'accept',
      description: 'what a person says who is asked',
    }),
    expect: Type.Union([
      Outcome,
      Type.Object(
        {
          outcome: Type.Optional(Outcome),
          rule: Type.Optional(Type.String()),
          reason: Type.Optional(Type.String()),
          listed: Type.Optional(Type.Boolean()),
        },
        { ...Exact, minProperties: 1 },
      ),
    ]),
  },
  Exact,
);
export type PolicyCase = Static<typeof Case>;

/** Schemas are held against values where plugins have theirs checked; this one is never run. */
const CASES_FILE = definePlugin({
  name: 'policy-cases',
  version: '1.0.0',
  description: 'Test cases of a policy.',
  phase: 'record',
  config: Type.Object(
    {
      config: Type.Optional(Text('the configuration, beside this file')),
      plugin: Type.Optional(Text('name of the policy')),
      cases: Type.Array(Case, { minItems: 1 }),
    },
    Exact,
  ),
  reads: [],
  changes: [],
  check: ({ cases }) =>
    cases.flatMap(({ request, after }, index) => [
      ...requestProblems(request, `cases[${index}].request`),
      ...after.flatMap((each, at) => requestProblems(each, `cases[${index}].after[${at}]`)),
    ]),
  hooks: () => ({}),
});

export interface CasesFile {
  readonly file: string;
  readonly config?: string;
  readonly plugin?: string;
  readonly cases: readonly PolicyCase[];
}

function requestProblems(request: CaseRequest, path: string): ConfigProblem[] {
  const { tool, prompt, resource, method, at, times } = request;
  const named = [tool, prompt, resource].filter((each) => each !== undefined);
  const problems: ConfigProblem[] = [];
  if (named.length > 1 || (named.length === 0 && method === undefined))
    problems.push({ path, message: 'names one of tool, prompt and resource, or a method' });
  if (named.some((each) => !/^[^:]+:./s.test(each)))
    problems.push({ path, message: 'names its target as upstream:name', hint: 'for example files:read' });
  if (times !== undefined && !path.includes('.after['))
    problems.push({ path: `${path}.times`, message: 'is for requests that came before, in `after`' });
  if (at !== undefined && !(Date.parse(at) >= 0))
    problems.push({
      path: `${path}.at`,
      message: 'is no time',
      hint: 'for example 2026-01-31T09:00:00+01:00',
    });
  return problems;
}

/** @throws Unusable */
export function requestOf(text: string): CaseRequest {
  const checked = CASES_FILE.checked({
    cases: [{ name: 'it', request: yamlOf(text, '--request'), expect: 'allow' }],
  });
  if (!checked.ok) throw new WrongUsage(said('--request', checked.problems, 'cases[0].request.'));
  return (checked.config as CasesFile).cases[0]?.request as CaseRequest;
}

/** @throws Unusable */
export function readCases(file: string): CasesFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Unusable(`${file} cannot be read: ${(error as Error).message}`);
  }
  const checked = CASES_FILE.checked(yamlOf(text, file));
  if (!checked.ok) throw new Unusable(said(file, checked.problems));
  return { ...(checked.config as CasesFile), file };
}

function yamlOf(text: string, what: string): unknown {
  try {
    return parseYamlValue(text);
  } catch (error) {
    throw new Unusable(`${what} is no YAML: ${(error as Error).message}`);
  }
}

function said(what: string, problems: readonly ConfigProblem[], prefix = ''): string {
  return problems
    .map(({ path, message, hint }) => {
      const place = path.startsWith(prefix) ? path.slice(prefix.length) : path;
      return `${what}: ${place} ${message}${hint === undefined ? '' : `; ${hint}`}`;
    })
    .join('\n');
}

/**
 * Where configuration and cases are, by either of them.
 *
 * @throws Unusable when there is none
 */
export function placesOf(named: string | undefined): { config: string; cases: string } {
  const file = named ?? (process.env.SLUICE_CONFIG || findFile('.'));
  if (file === undefined) throw new Unusable('there is no configuration; name its file');
  if (!CASES.test(file)) return { config: file, cases: `${file.slice(0, -extname(file).length)}.test.yaml` };
  const { config } = readCases(file);
  if (config !== undefined) return { config: join(dirname(file), config), cases: file };
  const stem = file.replace(CASES, '');
  const beside = ENDINGS.map((ending) => stem + ending).find((each) => existsSync(each));
  if (beside === undefined)
    throw new Unusable(`${file} has no configuration beside it; name it with \`config\``);
  return { config: beside, cases: file };
}

/**
 * The policies of a configuration; with a name that one alone.
 *
 * @throws Unusable
 */
export async function policiesIn(file: string, name: string | undefined): Promise<readonly ResolvedPlugin[]> {
  const { configuration, problems } = await readConfiguration(file, { otherVariables: OWN_VARIABLES });
  if (configuration === undefined) {
    const errors = problems.filter(({ severity }) => severity === 'error');
    throw new Unusable(errors.map((problem) => formatProblem(problem, { colour: false })).join('\n'));
  }
  const all = resolveConfiguration(configuration).plugins.filter(({ plugin }) => plugin === 'policy');
  const found = name === undefined ? all : all.filter((each) => each.name === name);
  if (found.length > 0) return found;
  const there = all.length === 0 ? 'it has none' : `it has ${all.map((each) => each.name).join(', ')}`;
  throw new Unusable(
    `${file} has no policy${name === undefined ? '' : ` ${JSON.stringify(name)}`}; ${there}`,
  );
}

/** The cases for a policy that is the only one, or that they name. @throws Unusable */
export async function policyOf(file: string, name: string | undefined): Promise<ResolvedPlugin> {
  const [first, ...others] = await policiesIn(file, name);
  if (others.length > 0) {
    const names = [first, ...others].map((each) => each?.name).join(', ');
    throw new WrongUsage(`${file} has several policies (${names}); name one with \`plugin\``);
  }
  return first as ResolvedPlugin;
}

/** The very error code for people, and what else went wrong as it is. */
export async function tellingUnusable(err: Output, work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    err.write(`${error.message}\n`);
    return error.exitCode;
  }
}
