/** What a gateway says of itself over HTTP. */

export interface Health {
  status: 'ok' | 'degraded' | 'failing';
  ready: boolean;
  sessions: number;
  servers: number;
  tools: number;
  upstreams: {
    name: string;
    id: string;
    kind: string;
    state: string;
    era?: string;
    revision?: string;
    toolCount: number;
    error?: string;
  }[];
}

export async function health(gateway: string): Promise<Health> {
  return (await (await fetch(`${gateway}/health`)).json()) as Health;
}

/**
 * The value of one series in /metrics; undefined when there is none.
 *
 * @param series as it is written there: `sluice_upstream_up{upstream="slow"}`
 */
export async function metric(gateway: string, series: string): Promise<number | undefined> {
  const text = await (await fetch(`${gateway}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}
