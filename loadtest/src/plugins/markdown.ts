import { table } from '../markdown.js';
import type { PluginCell, PluginResult } from './result.js';

/** The report of a run with `--plugins`. */
export function renderPlugins({ processor, node, rounds, secondsPerCase, cases }: PluginResult) {
  return [
    '## What each plugin costs a call',
    `${processor}, Node.js ${node}; ${rounds} ${rounds === 1 ? 'round' : 'rounds'} of ${secondsPerCase} s a case.`,
    'Processor time that the plugin adds in the engine: median over the rounds (smallest–largest).',
    table(['plugin', 'case', 'stage', 'added ns', 'limit'], cases.map(row)),
  ].join('\n\n');
}

function row({ plugin, name, stage, addedNanos, limitNanos }: PluginCell): string[] {
  const { median, min, max } = addedNanos;
  const [middle, least, most] = [median, min, max].map((nanos) => Math.round(nanos).toLocaleString('en'));
  const verdict = limitNanos === undefined ? '' : median <= limitNanos ? 'met' : 'missed';
  return [
    plugin,
    name,
    stage,
    `${middle} (${least}–${most})`,
    limitNanos === undefined ? '' : `≤ ${limitNanos} ns, ${verdict}`,
  ];
}
