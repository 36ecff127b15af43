/**
 * A few threads for work on long texts, so that a worker answers others meanwhile. They are started when something is
 * first to be done, and are gone when nothing was for a while.
 */
import { createRequire } from 'node:module';
import { Refusal } from '@sluice/sdk';
import type { Piscina } from 'piscina';

/** More would only take the processor from the workers themselves. */
const MAX_THREAD_COUNT = 2;
const IDLE_MS = 10_000;
/** Tasks that wait; each holds its text. */
const MAX_WAITING_COUNT = 64;

const require = createRequire(import.meta.url);

let pool: Piscina | undefined;

/**
 * Has a function called in a thread.
 *
 * @param program URL of the module that exports it.
 * @param name what the function is exported as.
 * @param task its argument; cloned.
 * @throws Refusal when too many others wait, or what the function threw.
 */
export async function offLoop<Answer>(program: URL, name: string, task: unknown): Promise<Answer> {
  // A process of a plugin's own may start no threads, and nobody waits for it but who asked.
  if (process.permission?.has('worker') === false) {
    const module = (await import(program.href)) as Readonly<Record<string, (task: unknown) => Answer>>;
    return (module[name] as (task: unknown) => Answer)(task);
  }
  const threads = threadPool();
  if (threads.queueSize >= MAX_WAITING_COUNT)
    throw new Refusal('limited', 'too many long texts are being looked through; try again in a moment');
  return (await threads.run(task, { filename: program.href, name })) as Answer;
}

/** Threads that are there now. */
export function threadCount(): number {
  return pool?.threads.length ?? 0;
}

function threadPool(): Piscina {
  if (pool === undefined) {
    const { Piscina: Pool } = require('piscina') as { Piscina: typeof Piscina };
    pool = new Pool({
      minThreads: 0,
      maxThreads: MAX_THREAD_COUNT,
      idleTimeout: IDLE_MS,
      atomics: 'disabled',
      recordTiming: false,
    });
  }
  return pool;
}
