/**
 * Remembers what tools were when somebody looked at them. A tool that is another by now is held back until it is
 * accepted: lists go on showing the old definition, or nothing, and calls that the change may break are refused. What is
 * accepted stands in the configuration, where `sluice pin accept` writes it. Stands among the plugins that shape;
 * written last there, it sees what the server shows.
 */
import { definePlugin, type JsonObject, type ListEntry } from '@sluice/sdk';
import { patternProblems } from '../patterns.js';
import { Config } from './config.js';
import { type Ctx, type Next, Pins } from './pins.js';

export default definePlugin({
  name: 'pin',
  version: '1.0.0',
  description: 'Holds back tools that are new or have changed until somebody has accepted them.',
  phase: 'shape',
  config: Config,
  reads: ['definition', 'endpoint', 'method', 'remark', 'target'],
  changes: ['entries'],

  check({ targets, accepted }) {
    const problems = patternProblems(targets, 'targets');
    for (const [upstream, tools] of Object.entries(accepted))
      for (const [name, text] of Object.entries(tools)) {
        const message = definitionProblem(name, text);
        if (message !== undefined) problems.push({ path: `accepted.${upstream}.${name}`, message });
      }
    return problems;
  },

  hooks(config, host) {
    const pins = new Pins(config, host);
    return {
      exchange: (ctx: Ctx, next: Next) => pins.exchange(ctx, next),
      entries: (ctx: Ctx, entries: readonly ListEntry[]) => pins.entries(ctx, entries),
    };
  },
});

function definitionProblem(name: string, text: string): string | undefined {
  try {
    const definition: unknown = JSON.parse(text);
    const isTool =
      typeof definition === 'object' && definition !== null && (definition as JsonObject).name === name;
    return isTool ? undefined : 'is no definition of a tool of this name';
  } catch {
    return 'is no JSON; let `sluice pin accept` write it';
  }
}
