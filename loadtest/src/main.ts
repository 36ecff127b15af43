/** The command `npm run bench`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBenchmark, type Surroundings } from './benchmark.js';
import { renderMarkdown } from './markdown.js';
import {
  type AuditOptions,
  HELP,
  type Options,
  type PluginOptions,
  type PropagationOptions,
  readOptions,
  type StreamOptions,
  type SwapOptions,
  UsageError,
} from './options.js';
import { renderPlugins } from './plugins/markdown.js';
import { canReadProcessUsage } from './process-usage.js';
import { Profiler } from './profiler.js';
import { Progress } from './progress.js';
import { StartedProcesses } from './running-process.js';
import { renderStreams } from './streams/markdown.js';
import { measureStreams } from './streams/measure.js';
import { renderSwap } from './swap/markdown.js';
import { measureSwap } from './swap/measure.js';

const EXIT = { measured: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

async function main(args: string[]): Promise<number> {
  let options: ReturnType<typeof readOptions>;
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
      'bench: processor time and memory are read from /proc, which this system lacks: run the benchmark on Linux.',
    );
    return EXIT.failed;
  }
  return runAndReport(options);
}

type AnyOptions = Options | StreamOptions | PluginOptions | PropagationOptions | SwapOptions | AuditOptions;

async function runAndReport(options: AnyOptions): Promise<number> {
  const out = resolve(options.out ?? join(RESULTS, `${new Date().toISOString().replaceAll(':', '-')}.json`));
  const isProfiled = 'profile' in options && options.profile;
  const profiler = isProfiled ? new Profiler(`${out.replace(/\.json$/, '')}-profiles`) : undefined;
  const progress = new Progress();
  const processes = new StartedProcesses();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const interrupted = untilInterrupted();
  try {
    const run = measure(options, { processes, progress, folder, profiler });
    // After an interruption its processes end under it: what it says about that interests nobody.
    run.catch(() => {});
    const outcome = await Promise.race([run, interrupted]);
    progress.end();
    if (outcome === 'interrupted') {
      console.error('bench: interrupted; nothing was written.');
      return EXIT.interrupted;
    }
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, `${JSON.stringify(outcome.result, undefined, 2)}\n`);
    console.log(outcome.report);
    console.error(`\nbench: all figures are in ${out}`);
    if (outcome.problems.length === 0) return EXIT.measured;
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

async function measure(options: AnyOptions, surroundings: Surroundings) {
  if ('plugins' in options) {
    // Loads all plugins with their libraries, which nothing else here needs.
    const { measurePlugins } = await import('./plugins/measure.js');
    const result = await measurePlugins(options, surroundings.progress);
    return { result, report: renderPlugins(result), problems: [] };
  }
  if ('audited' in options) {
    const { measureAudit } = await import('./audit/measure.js');
    const { renderAudit } = await import('./audit/markdown.js');
    const result = await measureAudit(options, surroundings.progress);
    return { result, report: renderAudit(result), problems: [] };
  }
  if ('propagation' in options) {
    // Loads the client of the admin API, which nothing else here needs.
    const { measurePropagation } = await import('./propagation/measure.js');
    const { renderPropagation } = await import('./propagation/markdown.js');
    const result = await measurePropagation(options, surroundings);
    return { result, report: renderPropagation(result), problems: result.problems };
  }
  if ('swapped' in options) {
    const result = await measureSwap(options, surroundings);
    return { result, report: renderSwap(result), problems: [] };
  }
  if ('streams' in options) {
    const result = await measureStreams(options, surroundings);
    return { result, report: renderStreams(result), problems: result.problems };
  }
  const result = await runBenchmark(options, surroundings);
  return { result, report: renderMarkdown(result), problems: result.summary.problems };
}

function untilInterrupted(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => resolve('interrupted'));
  });
}

// Nothing is left that could keep the process: what it started has ended.
process.exit(await main(process.argv.slice(2)));
