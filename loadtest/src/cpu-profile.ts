/** A CPU profile as V8 writes it: the fields that are read here (Chrome DevTools Protocol, Profiler.Profile). */
export interface CpuProfile {
  nodes: ProfileNode[];
  /** The node that was running at each sample. */
  samples?: number[];
  /** Time since the sample before, in microseconds. */
  timeDeltas?: number[];
}

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  /** Ids of the nodes that it called. */
  children?: number[];
}

/** Time of a function's own, without what it called. */
export interface SelfTime {
  name: string;
  /** Where it is written; for a native function, who of the program called it. */
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
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const callers = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node])),
  );
  const byFunction = new Map<string, SelfTime>();
  let totalMicros = 0;
  let idleMicros = 0;
  const { samples = [], timeDeltas = [] } = profile;
  samples.forEach((id, i) => {
    // A sample's time is the one until the next sample; the deltas say how long ago the last one was.
    const micros = Math.max(0, timeDeltas[i + 1] ?? 0);
    const node = nodes.get(id);
    if (!node) return;
    const { functionName } = node.callFrame;
    totalMicros += micros;
    if (functionName === IDLE) idleMicros += micros;
    const place = placeOf(node, callers);
    const key = `${functionName} ${place}`;
    const entry = byFunction.get(key) ?? {
      name: functionName || '(anonymous)',
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

/** Native functions have no place of their own, and V8 guesses their names: who called them says what they are. */
function placeOf(node: ProfileNode, callers: ReadonlyMap<number, ProfileNode>): string {
  if (node.callFrame.url !== '') return lineOf(node);
  let caller = callers.get(node.id);
  while (caller && !caller.callFrame.url.startsWith('file:')) caller = callers.get(caller.id);
  return caller ? `native, from ${caller.callFrame.functionName} ${lineOf(caller)}` : '';
}

/** The last folders of the file, and the line as an editor counts it. */
function lineOf({ callFrame: { url, lineNumber } }: ProfileNode): string {
  return `${url
    .replace(/^file:\/\//, '')
    .split('/')
    .slice(-3)
    .join('/')}:${lineNumber + 1}`;
}
