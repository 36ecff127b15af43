import type { Era } from '../mcp-request.js';
import type { RunningProcess } from '../running-process.js';

/** Something between the client and the upstream. */
export interface Relay {
  /** Its processes: this one and its descendants. */
  process: RunningProcess;
  /** Base URL without a path. */
  origin: string;
  /** Which library a gateway listens with, in its own words. */
  listener?: string;
}

/** What stands in front of the upstream in one row. */
export type RelayKind = 'direct' | 'nginx' | 'sluice';

/** One line of the comparison. */
export interface Row {
  id: string;
  title: string;
  relay: RelayKind;
  /** Path that the client calls. */
  path: string;
  era: Era;
  /** True with plugins in front: see `chain.ts`. */
  plugins?: boolean;
}

/** Name of the upstream in the gateway's configuration. */
export const UPSTREAM_NAME = 'echo';

function rowsOf(era: Era): Row[] {
  return [
    { id: `direct-${era}`, title: 'direct', relay: 'direct', path: '/mcp', era },
    { id: `nginx-${era}`, title: 'nginx `proxy_pass`', relay: 'nginx', path: '/mcp', era },
    {
      id: `sluice-upstream-${era}`,
      title: 'Sluice `/mcp/{upstream}`',
      relay: 'sluice',
      path: `/mcp/${UPSTREAM_NAME}`,
      era,
    },
    { id: `sluice-merged-${era}`, title: 'Sluice `/mcp`', relay: 'sluice', path: '/mcp', era },
    {
      id: `sluice-plugins-${era}`,
      title: 'Sluice `/mcp/{upstream}` with plugins',
      relay: 'sluice',
      path: `/mcp/${UPSTREAM_NAME}`,
      era,
      plugins: true,
    },
  ];
}

/** All lines of the comparison, in the order of the report. */
export const ROWS: readonly Row[] = [...rowsOf('modern'), ...rowsOf('legacy')];
