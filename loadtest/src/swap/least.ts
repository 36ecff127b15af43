/**
 * The least of several repetitions. Steps do the same each time, so what one took beyond its least was something else:
 * another program, or a collection that fell into it.
 */
import type { LongStep, SwapStep } from './result.js';

/** Of steps that were long in every repetition. */
function leastSteps(repetitions: readonly (readonly LongStep[])[]): LongStep[] {
  const [first = [], ...others] = repetitions.map(byPlace);
  const least: LongStep[] = [];
  for (const [place, step] of first) {
    const times = others.map((steps) => steps.get(place)?.ms);
    if (times.every((ms) => ms !== undefined)) least.push({ ...step, ms: Math.min(step.ms, ...times) });
  }
  return least.sort((a, b) => b.ms - a.ms);
}

/** Two threads do the same. */
function byPlace(steps: readonly LongStep[]): Map<string, LongStep> {
  const places = new Map<string, LongStep>();
  for (const step of steps) {
    const place = `${step.work} ${step.step}`;
    const other = places.get(place);
    if (other === undefined || step.ms < other.ms) places.set(place, step);
  }
  return places;
}

function leastOf(repetitions: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const least: Record<string, number> = {};
  for (const each of repetitions)
    for (const [name, ms] of Object.entries(each)) least[name] = Math.min(ms, least[name] ?? ms);
  return least;
}

/**
 * One figure for each, out of repetitions of the same change.
 *
 * @param of what is taken of times that have other programs in them
 */
export function together(repetitions: readonly SwapStep[], of: (values: number[]) => number): SwapStep {
  const one = (figure: (step: SwapStep) => number) => of(repetitions.map(figure));
  return {
    name: repetitions[0]?.name ?? '',
    compileMs: one(({ compileMs }) => compileMs),
    swapMs: one(({ swapMs }) => swapMs),
    compileCpuMs: one(({ compileCpuMs }) => compileCpuMs),
    swapCpuMs: one(({ swapCpuMs }) => swapCpuMs),
    afterCpuMs: one(({ afterCpuMs }) => afterCpuMs),
    workMs: leastOf(repetitions.map(({ workMs }) => workMs)),
    long: leastSteps(repetitions.map(({ long }) => long)),
    gcMs: one(({ gcMs }) => gcMs),
    mainHoldMs: one(({ mainHoldMs }) => mainHoldMs),
    workerHoldMs: one(({ workerHoldMs }) => workerHoldMs),
    sentBytes: one(({ sentBytes }) => sentBytes),
  };
}

export function least(values: readonly number[]): number {
  return Math.min(...values);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
