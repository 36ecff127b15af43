import { table } from '../markdown.js';
import { type AuditCell, type AuditResult, RECORDS_PER_SECOND } from './measure.js';

/** What a worker may pay for an exchange. */
const WORKER_LIMIT_NANOS = 3_000;

/** The report of a run with `--audit`. */
export function renderAudit({ processor, node, rounds, secondsPerCase, cases }: AuditResult): string {
  return [
    '## What audit records cost',
    `${processor}, Node.js ${node}; ${rounds} rounds of ${secondsPerCase} s a case, ${RECORDS_PER_SECOND.toLocaleString('en')} exchanges a second.`,
    'Processor time for each exchange beyond that without the plugin: median over the rounds (smallest–largest).',
    table(
      ['case', 'ns of the worker', 'limit', 'ns of all threads', 'records a second', 'lost'],
      cases.map(row),
    ),
  ].join('\n\n');
}

function row({ name, workerNanos, allNanos, recordsPerSecond, callCount, recordCount }: AuditCell): string[] {
  const verdict = workerNanos.median <= WORKER_LIMIT_NANOS ? 'met' : 'missed';
  return [
    name,
    nanos(workerNanos),
    `≤ ${WORKER_LIMIT_NANOS} ns, ${verdict}`,
    nanos(allNanos),
    Math.round(recordsPerSecond).toLocaleString('en'),
    `${callCount - recordCount} of ${callCount.toLocaleString('en')}`,
  ];
}

function nanos({ median, min, max }: AuditCell['workerNanos']): string {
  const [middle, least, most] = [median, min, max].map((each) => Math.round(each).toLocaleString('en'));
  return `${middle} (${least}–${most})`;
}
