/**
 * How long each step took of the work that is done in slices: the time between two yields, which is the longest for
 * which a request can be kept waiting by it. Begins to measure when it is loaded.
 */
import { PerformanceObserver } from 'node:perf_hooks';

/** Shorter ones are only summed up. */
const NOTED_FROM_MS = 0.3;
const NANOS_PER_MS = 1e6;
/** How deep the place is looked for that has work done in slices. */
const STACK_DEPTH = 20;

/** A step that took long. */
export interface LongStep {
  /** Who has the work done: `Runtime.prepare`. */
  readonly work: string;
  /** Which one of that work, from 1. */
  readonly step: number;
  readonly ms: number;
}

export interface StepTimes {
  /** All steps of each work together. */
  readonly totalMs: Readonly<Record<string, number>>;
  readonly long: readonly LongStep[];
  /** The pauses of garbage collections; they are in the steps in which they fell. */
  readonly gcMs: number;
}

interface Work {
  readonly name: string;
  stepCount: number;
}

interface AnyGenerator {
  next(this: object, value?: unknown): IteratorResult<unknown>;
}

const works = new WeakMap<object, Work>();
let totalMs: Record<string, number> = {};
let long: LongStep[] = [];
let gcMs = 0;
/** Of generators within one another, the outermost counts: its yields are those of all. */
let isInside = false;

const generators = Object.getPrototypeOf(function* () {}).prototype as AnyGenerator;
const { next } = generators;
generators.next = function measured(value) {
  if (isInside) return next.call(this, value);
  const work = works.get(this) ?? begun(this);
  work.stepCount++;
  isInside = true;
  const start = process.hrtime.bigint();
  try {
    return next.call(this, value);
  } finally {
    const ms = Number(process.hrtime.bigint() - start) / NANOS_PER_MS;
    isInside = false;
    totalMs[work.name] = (totalMs[work.name] ?? 0) + ms;
    if (ms >= NOTED_FROM_MS) long.push({ work: work.name, step: work.stepCount, ms });
  }
};

const collections = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMs += duration;
});
collections.observe({ entryTypes: ['gc'] });

export function resetSteps(): void {
  totalMs = {};
  long = [];
  gcMs = 0;
}

export function stepTimes(): StepTimes {
  return { totalMs, long, gcMs };
}

function begun(generator: object): Work {
  const work = { name: caller(), stepCount: 0 };
  works.set(generator, work);
  return work;
}

/** Who called `inSlices`; whatever is no such work has the name of nobody. */
function caller(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_DEPTH;
  const lines = new Error().stack?.split('\n') ?? [];
  Error.stackTraceLimit = limit;
  const place = lines.findIndex((line) => line.includes('at inSlices '));
  return /at (?:async )?(\S+)/.exec(lines[place + 1] ?? '')?.[1] ?? 'other';
}
