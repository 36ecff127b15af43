import { Console } from 'node:console';
import { formatProblem, type Problem, watchConfiguration } from '@sluice/control-plane';
import { type StdioEnd, type StdioServer, startStdio } from '@sluice/data-plane';
import { type ResolvedConfiguration, resolveConfiguration } from '@sluice/proto';
import { type LoadOutcome, loadConfiguration, OWN_VARIABLES } from './configuration.js';
import { configurationChanges } from './configuration-changes.js';
import { endProcess, hasLostTerminal } from './controlling-terminal.js';
import { EXIT } from './exit-codes.js';
import { clientHeaders } from './header-option.js';
import { openLog, type ProcessLog } from './log.js';
import { parentSettings } from './parent-settings.js';
import { PINS_GONE } from './pins-gone.js';
import { REMOTE_NAME, remoteConfiguration } from './remote-configuration.js';
import type { StdioFlags } from './stdio-flags.js';
import { usesColour } from './terminal.js';

/** Whoever asks a second time to stop has waited: servers that do not end within this are killed. */
const HURRY_MS = 1_000;

/** A relay sends them to its server; plugins see none. */
const NO_HEADERS: ReturnType<typeof clientHeaders> = { headers: {}, variables: [] };

/**
 * Runs `sluice stdio` until its client leaves or it is told to stop. Everything but messages goes to stderr.
 *
 * @returns the exit code
 */
export function serveStdio(flags: StdioFlags): Promise<number> {
  return new StdioCommand(flags).run();
}

class StdioCommand {
  readonly #flags: StdioFlags;
  #log: ProcessLog | undefined;
  #server: StdioServer | undefined;
  #configuration: ResolvedConfiguration | undefined;
  #graceMs = 0;
  /** Of the environment, which `--header` refers to. */
  #variables: readonly string[] = [];
  #stopping = false;
  #tell: (end: StdioEnd) => void = () => {};
  /** Resolves when a signal tells it to stop. */
  readonly #told = new Promise<StdioEnd>((resolve) => {
    this.#tell = resolve;
  });
  #loading: Promise<void> = Promise.resolve();

  constructor(flags: StdioFlags) {
    this.#flags = flags;
  }

  async run(): Promise<number> {
    // A line of something else on stdout would break the client's reading.
    globalThis.console = new Console(process.stderr, process.stderr);
    process.stderr.on('error', () => {});
    const { headers, variables, problem } =
      this.#flags.connect === undefined ? clientHeaders(this.#flags.header ?? [], process.env) : NO_HEADERS;
    this.#variables = variables;
    if (problem !== undefined) {
      printProblems([problem]);
      return EXIT.configuration;
    }
    const { configuration, problems, file } = await this.#load();
    printProblems(problems);
    if (configuration === undefined) return EXIT.configuration;
    const upstream = this.#flags.connect === undefined ? this.#flags.upstream : REMOTE_NAME;
    const names = configuration.upstreams.map(({ name }) => name);
    if (upstream !== undefined && !names.includes(upstream)) {
      process.stderr.write(
        `sluice: there is no upstream ${JSON.stringify(upstream)}; upstreams are ${names.join(', ') || 'none'}\n`,
      );
      return EXIT.usage;
    }
    this.#keep(configuration);
    const { logLevel, logFormat } = parentSettings(configuration);
    this.#log = openLog(logLevel, logFormat, () => {});
    const { log } = this.#log;
    const { stdin: input, stdout: output } = process;
    const server = await startStdio({ configuration, log, input, output, upstream, headers });
    this.#server = server;
    this.#followSignals();
    const watch =
      file === undefined
        ? undefined
        : watchConfiguration(
            file,
            () => this.#reload(),
            (pins) => log.warn({ file: pins }, PINS_GONE),
          );
    log.info({ upstreams: names.length, ...(upstream && { upstream }) }, 'speaking on stdin and stdout');
    this.#warnIfRefused();
    const { reason, kind } = await Promise.race([server.ended, this.#told]);
    watch?.close();
    this.#stopping = true;
    if (kind === 'failed') log.error(`stopping: ${reason}`);
    else log.info(`stopping: ${reason}`);
    await server.stop(kind === 'left' ? this.#graceMs : 0);
    log.info('stopped');
    await this.#log.flush();
    return kind === 'failed' ? EXIT.unexpected : EXIT.ok;
  }

  async #load(): Promise<LoadOutcome> {
    if (this.#flags.connect === undefined)
      return loadConfiguration(this.#flags, process.cwd(), this.#variables);
    const { configuration, problems } = remoteConfiguration(this.#flags, OWN_VARIABLES);
    return { ...(configuration && { configuration: resolveConfiguration(configuration) }), problems };
  }

  /** Clients show little of why they were refused, and nobody sees a refusal coming. */
  #warnIfRefused(): void {
    const { log } = this.#log ?? {};
    this.#server?.refusal().then(
      (refusal) => {
        if (refusal !== undefined) log?.warn(`every request of the client will be refused: ${refusal}`);
      },
      (thrown: unknown) => log?.warn({ err: thrown }, 'it could not be found out who calls'),
    );
  }

  #keep(configuration: ResolvedConfiguration): void {
    this.#configuration = configuration;
    this.#graceMs = configuration.gateway.shutdownGraceMs;
  }

  #followSignals(): void {
    process.on('SIGINT', () => this.#stop('SIGINT'));
    process.on('SIGTERM', () => this.#stop('SIGTERM'));
    process.on('SIGHUP', () => (hasLostTerminal() ? this.#stop('SIGHUP') : this.#reload()));
  }

  #stop(signal: string): void {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#tell({ reason: `told to by ${signal}`, kind: 'left' });
      return;
    }
    // It stops already: whoever says so again does not want to wait.
    void this.#server?.stop(0);
    setTimeout(() => endProcess(EXIT.ok), HURRY_MS);
  }

  /** Reads the configuration again; changes are taken one after the other. */
  #reload(): void {
    this.#loading = this.#loading.then(() => this.#take());
  }

  async #take(): Promise<void> {
    if (this.#stopping || this.#log === undefined || this.#flags.connect !== undefined) return;
    const { log } = this.#log;
    const { configuration, problems } = await this.#load();
    for (const { severity, message, ...place } of problems) {
      if (severity === 'error') log.error(place, `configuration: ${message}`);
      else log.warn(place, `configuration: ${message}`);
    }
    if (configuration === undefined) {
      log.error({ problems: problems.length }, 'configuration refused; the last good one stays');
      return;
    }
    const before = this.#configuration as ResolvedConfiguration;
    if (JSON.stringify(configuration) === JSON.stringify(before)) {
      log.info('configuration is unchanged');
      return;
    }
    try {
      await this.#server?.apply(configuration);
      this.#keep(configuration);
      const { logLevel, logFormat } = parentSettings(configuration);
      this.#log.configure(logLevel, logFormat);
      log.info(configurationChanges(before, configuration), 'configuration applied');
      this.#warnIfRefused();
    } catch (error) {
      log.error({ err: error }, 'configuration refused by the data plane; the last good one stays');
    }
  }
}

function printProblems(problems: readonly Problem[]): void {
  const colour = usesColour(process.stderr);
  for (const problem of problems) process.stderr.write(`${formatProblem(problem, { colour })}\n`);
}
