/** A CPU profile as V8 writes it: the fields that are read here (Chrome DevTools Protocol, Profiler.Profile). */
export interface CpuProfile {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  /** The node that was running at each sample. */
  samples?: number[];
  /** Time since the sample before, in microseconds. */
  timeDeltas?: number[];
}

/** Time of a function's own, without what it called. */
export interface SelfTime {
  name: string;
  place: string;
  selfMillis: number;
  /** Of the time that was not idle. */
  share: number;
}

const IDLE = '(idle)';

/** The functions with the most time of their own, largest first, and how much of the time was idle. */
export function topSelfTimes(
  profile: CpuProfile,
  count: number,
): { sampledMillis: number; idleShare: number; top: SelfTime[] } {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, SelfTime>();
  let totalMicros = 0;
  let idleMicros = 0;
  const { samples = [], timeDeltas = [] } = profile;
  samples.forEach((node, i) => {
    // A sample's time is the one until the next sample; the deltas say how long ago the last one was.
    const micros = Math.max(0, timeDeltas[i + 1] ?? 0);
    const frame = frames.get(node);
    if (!frame) return;
    totalMicros += micros;
    if (frame.functionName === IDLE) idleMicros += micros;
    const place = placeOf(frame);
    const key = `${frame.functionName} ${place}`;
    const entry = byFunction.get(key) ?? {
      name: frame.functionName || '(anonymous)',
      place,
      selfMillis: 0,
      share: 0,
    };
    entry.selfMillis += micros / 1000;
    byFunction.set(key, entry);
  });
  const busyMillis = (totalMicros - idleMicros) / 1000;
  const top = [...byFunction.values()]
    .filter(({ name }) => name !== IDLE)
    .sort((a, b) => b.selfMillis - a.selfMillis)
    .slice(0, count)
    .map((entry) => ({ ...entry, share: busyMillis > 0 ? entry.selfMillis / busyMillis : 0 }));
  return {
    sampledMillis: totalMicros / 1000,
    idleShare: totalMicros > 0 ? idleMicros / totalMicros : 0,
    top,
  };
}

/** The last folders of the file, and the line as an editor counts it. */
function placeOf({ url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  if (url === '') return '';
  return `${url
    .replace(/^file:\/\//, '')
    .split('/')
    .slice(-3)
    .join('/')}:${lineNumber + 1}`;
}
