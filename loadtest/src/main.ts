/** The command `npm run bench`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBenchmark } from './benchmark.js';
import { renderMarkdown } from './markdown.js';
import { HELP, type Options, readOptions, UsageError } from './options.js';
import { canReadProcessUsage } from './process-usage.js';
import { Profiler } from './profiler.js';
import { Progress } from './progress.js';
import { StartedProcesses } from './running-process.js';

const EXIT = { measured: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

async function main(args: string[]): Promise<number> {
  let options: Options | 'help';
  try {
    options = readOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\nbench: --help shows what there is.`);
    return EXIT.usage;
  }
  if (options === 'help') {
    console.log(HELP);
    return EXIT.measured;
  }
  if (!canReadProcessUsage()) {
    console.error(
      'bench: processor time is read from /proc, which this system lacks: run the benchmark on Linux.',
    );
    return EXIT.failed;
  }
  return runAndReport(options);
}

async function runAndReport(options: Options): Promise<number> {
  const out = resolve(options.out ?? join(RESULTS, `${new Date().toISOString().replaceAll(':', '-')}.json`));
  const profiler = options.profile ? new Profiler(`${out.replace(/\.json$/, '')}-profiles`) : undefined;
  const progress = new Progress();
  const processes = new StartedProcesses();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const interrupted = untilInterrupted();
  try {
    const run = runBenchmark(options, { processes, progress, folder, profiler });
    // After an interruption its processes end under it: what it says about that interests nobody.
    run.catch(() => {});
    const result = await Promise.race([run, interrupted]);
    progress.end();
    if (result === 'interrupted') {
      console.error('bench: interrupted; nothing was written.');
      return EXIT.interrupted;
    }
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, `${JSON.stringify(result, undefined, 2)}\n`);
    console.log(renderMarkdown(result));
    console.error(`\nbench: all figures are in ${out}`);
    if (result.summary.problems.length === 0) return EXIT.measured;
    console.error('bench: something did not run or answered wrongly; the report says what, under Problems');
    return EXIT.failed;
  } catch (error) {
    progress.end();
    console.error(`bench: ${(error as Error).message}`);
    return EXIT.failed;
  } finally {
    await processes.endAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

function untilInterrupted(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => resolve('interrupted'));
  });
}

// Nothing is left that could keep the process: what it started has ended.
process.exit(await main(process.argv.slice(2)));
