/**
 * Decides by rules: who may do what, with which arguments, by which agent, how often and when. Rules allow, deny or
 * have a person asked; the first that holds decides.
 */
import { type Attribute, type ConfigProblem, definePlugin, durationMs } from '@sluice/sdk';
import { likelyMethods } from '../method-targets.js';
import { agentProblems, agentReads } from './agent.js';
import { APPROVAL_READS } from './approval.js';
import { Config, DEFAULT_WINDOW } from './config.js';
import { type Ctx, Decider } from './decider.js';
import { opaProblems } from './opa/config.js';
import { OPA_RULE } from './opa/result.js';
import { DEFAULT_RULE, Policy, PROTOCOL_RULE } from './policy.js';

const MIN_WINDOW_MS = 1_000;
const MAX_WINDOW_MS = 30 * 86_400_000;

export default definePlugin({
  name: 'policy',
  version: '1.0.0',
  description: 'Decides by rules in CEL: allow, deny, or ask a person.',
  phase: 'decision',
  config: Config,
  reads: (config) => attributesOf(config) as Attribute[],
  changes: [],
  check: problemsOf,

  hooks(config, host) {
    const policy = new Policy(config);
    policy.opa?.start(host);
    const decider = new Decider(policy, host, config);
    return {
      decide: (ctx: Ctx) => decider.decide(ctx),
      ...(policy.waits && { exchange: (ctx: Ctx, next) => decider.exchange(ctx, next) }),
      sessionEnd: (session) => decider.sessionEnd(session),
      ...(policy.opa && { shutdown: () => policy.opa?.close() }),
    };
  },
});

function attributesOf(config: Config): readonly string[] {
  const policy = new Policy(config);
  const own = ['method', 'remark', 'target', 'targets'];
  if (policy.readsFact('agent')) own.push(...agentReads(config.agent));
  if (policy.readsFact('session')) {
    own.push('principal.id');
    if (config.session?.by !== 'principal') own.push('client', 'session');
  }
  if (policy.asks) own.push(...APPROVAL_READS);
  return [...new Set([...own, ...policy.reads])];
}

function problemsOf(config: Config): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [...agentProblems(config.agent), ...opaProblems(config.opa)];
  const ids = config.rules.map(({ id }) => id);
  config.rules.forEach(({ id, match }, index) => {
    problems.push(...methodProblems(match?.methods ?? [], `rules[${index}].match.methods`));
    const path = `rules[${index}].id`;
    const first = ids.indexOf(id);
    if (first !== index) problems.push({ path, message: `is that of rules[${first}] too` });
    if (id === DEFAULT_RULE || id === PROTOCOL_RULE || id === OPA_RULE)
      problems.push({ path, message: `stands for what no rule decides` });
  });
  const policy = new Policy(config, problems);
  const windowMs = durationMs(config.session?.window ?? DEFAULT_WINDOW);
  if (windowMs < MIN_WINDOW_MS || windowMs > MAX_WINDOW_MS)
    problems.push({ path: 'session.window', message: 'is too short or too long', hint: 'from 1s to 30d' });
  if (config.session?.by === 'principal' && !policy.readsFact('session'))
    problems.push({ path: 'session', message: 'is for nothing: no rule reads `session`' });
  return problems;
}

/** A rule for a method that is mistyped would never hold, whatever it was to refuse. */
function methodProblems(methods: readonly string[], path: string): readonly ConfigProblem[] {
  return methods.flatMap((method, index) => {
    const likely = likelyMethods(method);
    const problem = { path: `${path}[${index}]`, message: 'is no method of MCP' };
    return likely === undefined ? [] : [{ ...problem, hint: `write ${likely.join(' or ')}` }];
  });
}
