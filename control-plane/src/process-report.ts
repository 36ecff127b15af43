/** What a replica of the control plane says of itself at its health door. */
import { type Node, Presence } from '@sluice/proto/cluster';
import type { Metric, ProcessReport } from './process-doors.js';
import type { ConfigurationHead } from './revisions/head.js';

export interface ReplicaNow {
  readonly waitsFor: string | undefined;
  readonly head: ConfigurationHead | undefined;
  readonly nodes: readonly Node[];
  /** Why changes are refused; undefined when they are not. */
  readonly storeTrouble: string | undefined;
  /** Undefined: it was started without NATS. */
  readonly isOnNats: boolean | undefined;
  readonly version: string;
  readonly cluster: string;
}

const PRESENCE_WORDS: readonly (readonly [Presence, string])[] = [
  [Presence.PRESENT, 'present'],
  [Presence.UNKNOWN, 'unknown'],
  [Presence.GONE, 'gone'],
];

const MICROSECONDS_PER_SECOND = 1_000_000;

export function reportOf(now: ReplicaNow): ProcessReport {
  const { waitsFor, head, nodes, storeTrouble, isOnNats, version, cluster } = now;
  const counts = PRESENCE_WORDS.map(
    ([presence, word]) => [word, nodes.filter((node) => node.presence === presence).length] as const,
  );
  return {
    waitsFor,
    troubles: [
      ...(storeTrouble === undefined ? [] : [storeTrouble]),
      ...(isOnNats === false ? ['NATS is away: nodes hear of changes over their streams'] : []),
    ],
    details: {
      version,
      cluster,
      ...(head && { revision: head.revision, oldest_revision: head.oldest }),
      nodes: Object.fromEntries(counts),
    },
    metrics: [...(head ? headMetrics(head) : []), ...replicaMetrics(now, counts)],
  };
}

function headMetrics(head: ConfigurationHead): Metric[] {
  return [
    gauge('sluice_control_plane_revision', 'The newest revision that holds here.', head.revision),
    gauge('sluice_control_plane_oldest_revision', 'Changes up to this revision are forgotten.', head.oldest),
    gauge('sluice_control_plane_resources', 'Resources of the newest revision.', head.state.size),
    gauge('sluice_control_plane_store_reachable', '1 when changes can be made.', head.reachable ? 1 : 0),
  ];
}

function replicaMetrics(
  { waitsFor, isOnNats, nodes, version }: ReplicaNow,
  counts: readonly (readonly [string, number])[],
): Metric[] {
  const behind = nodes.filter(
    ({ presence, health, wantedRevision }) =>
      presence !== Presence.GONE && (health?.position?.revision ?? 0n) < wantedRevision,
  );
  const { user, system } = process.cpuUsage();
  return [
    gauge('sluice_control_plane_ready', '1 when nodes are served.', waitsFor === undefined ? 1 : 0),
    ...(isOnNats === undefined
      ? []
      : [
          gauge(
            'sluice_control_plane_nats_connected',
            '1 when announcements go over NATS.',
            isOnNats ? 1 : 0,
          ),
        ]),
    {
      name: 'sluice_control_plane_nodes',
      help: 'Nodes, by what is known of them.',
      type: 'gauge',
      values: counts.map(([presence, value]) => ({ labels: { presence }, value })),
    },
    gauge(
      'sluice_control_plane_nodes_behind',
      'Nodes that have not said that they run the newest revision.',
      behind.length,
    ),
    {
      name: 'sluice_control_plane_build_info',
      help: 'Always 1.',
      type: 'gauge',
      values: [{ labels: { version }, value: 1 }],
    },
    {
      name: 'process_cpu_seconds_total',
      help: 'Processor time.',
      type: 'counter',
      values: [{ value: (user + system) / MICROSECONDS_PER_SECOND }],
    },
    gauge('process_resident_memory_bytes', 'Memory that the process holds.', process.memoryUsage.rss()),
  ];
}

function gauge(name: string, help: string, value: number): Metric {
  return { name, help, type: 'gauge', values: [{ value }] };
}
