import { type DataPlane, startDataPlane } from '@sluice/data-plane';
import type { ResolvedConfiguration } from '@sluice/proto';
import { followCertificate } from './certificate-watch.js';
import { configurationChanges } from './configuration-changes.js';
import { endProcess } from './controlling-terminal.js';
import { EXIT } from './exit-codes.js';
import { openLog, type ProcessLog } from './log.js';
import { parentSettings } from './parent-settings.js';
import type { DataPlaneOrder, DataPlaneReport, StartOrder } from './process-messages.js';
import { withChosenPorts, withRunningSettings } from './running-settings.js';
import { explainStartFailure } from './start-failure.js';

/** A gateway that stands alone counts the configurations that it has run. */
const FIRST_REVISION = 1;

/**
 * The data plane process of `sluice serve`: log, data plane and start-up screen. It is given configurations and
 * never reads any, so that a start after a crash is short and depends on nothing.
 */
export class ServingProcess {
  readonly #report: (report: DataPlaneReport) => void;
  #log: ProcessLog | undefined;
  #gateway: DataPlane | undefined;
  #configuration: ResolvedConfiguration | undefined;
  #endWatch = () => {};
  /** Changes are applied one after the other. */
  #lastChange: Promise<void> = Promise.resolve();
  #stopping = false;
  /** Clears what stands on the terminal's last line before the log writes there. */
  #makeRoom = () => {};

  constructor(report: (report: DataPlaneReport) => void) {
    this.#report = report;
  }

  obey(order: DataPlaneOrder): void {
    if (order.type === 'start') void this.#start(order);
    else if (order.type === 'stop') void this.stop();
    else this.#lastChange = this.#lastChange.then(() => this.#change(order.snapshot));
  }

  async #start({ snapshot, keyHex, endedSessions, restarted, screen }: StartOrder): Promise<void> {
    const configuration = numbered(JSON.parse(snapshot) as ResolvedConfiguration, FIRST_REVISION);
    const { logLevel, logFormat } = parentSettings(configuration);
    this.#log = openLog(logLevel, logFormat, () => this.#makeRoom());
    const { log } = this.#log;
    let gateway: DataPlane;
    try {
      gateway = await startDataPlane({
        configuration,
        key: Buffer.from(keyHex, 'hex'),
        log,
        sessionEnds: { before: endedSessions, onEnd: (id) => this.#report({ type: 'sessionEnd', id }) },
        onProcessGroup: (leaderPid, lives) => this.#report({ type: 'processGroup', leaderPid, lives }),
      });
    } catch (error) {
      await this.#failToStart(error, configuration, restarted);
      return;
    }
    this.#gateway = gateway;
    // Asked to stop while it started.
    if (this.#stopping) return this.#end(gateway);
    const { url, listener } = gateway;
    this.#keep(withChosenPorts(configuration, gateway));
    log.info({ url, listener, workers: configuration.gateway.listen.workerCount }, 'listening');
    const { tls } = configuration.gateway.listen;
    if (tls) this.#endWatch = followCertificate(tls, gateway, log);
    if (!restarted && (screen || process.stdout.isTTY)) await this.#showScreen(gateway);
  }

  async #failToStart(
    error: unknown,
    configuration: ResolvedConfiguration,
    restarted: boolean,
  ): Promise<void> {
    const { exitCode, explanation } = explainStartFailure(error, configuration);
    // At the first start somebody waits for an answer; later only the log is read.
    if (restarted) this.#log?.log.error({ err: error }, `the data plane could not start: ${explanation}`);
    else process.stderr.write(`sluice: ${explanation}\n`);
    await this.#log?.flush();
    endProcess(exitCode);
  }

  /** Remembers what runs now, here and in the parent. */
  #keep(configuration: ResolvedConfiguration): void {
    const settings = parentSettings(configuration);
    this.#configuration = configuration;
    this.#log?.configure(settings.logLevel, settings.logFormat);
    this.#report({ type: 'running', snapshot: JSON.stringify(configuration), settings });
  }

  async #change(snapshot: string): Promise<void> {
    if (this.#stopping || !this.#gateway || !this.#log || !this.#configuration) return;
    const { log } = this.#log;
    const { revision = FIRST_REVISION } = this.#configuration;
    const wanted = { ...(JSON.parse(snapshot) as ResolvedConfiguration), revision };
    const { configuration: same, waiting } = withRunningSettings(wanted, this.#configuration);
    if (waiting.length > 0) log.warn({ settings: waiting }, `needs a restart: ${waiting.join(', ')}`);
    if (JSON.stringify(same) === JSON.stringify(this.#configuration)) {
      if (waiting.length === 0) log.info('configuration is unchanged');
      this.#keep(this.#configuration);
      return;
    }
    const configuration = { ...same, revision: revision + 1 };
    try {
      const changes = configurationChanges(this.#configuration, configuration);
      await this.#gateway.apply(configuration);
      this.#keep(configuration);
      log.info({ revision: configuration.revision, ...changes }, 'configuration applied');
    } catch (error) {
      log.error({ err: error }, 'configuration refused by the data plane; the last good one stays');
      this.#keep(this.#configuration);
    }
  }

  async #showScreen(gateway: DataPlane): Promise<void> {
    const { showStartUpScreen } = await import('./start-up.js');
    await showStartUpScreen(gateway, process.stdout, (makeRoom) => {
      this.#makeRoom = makeRoom;
    });
  }

  /** Finishes what is under way within the time that the configuration gives, then ends the process. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#endWatch();
    if (this.#gateway) await this.#end(this.#gateway);
    // A start that is under way looks at the flag itself; without one there is nothing to finish.
    else if (!this.#log) endProcess(EXIT.ok);
  }

  async #end(gateway: DataPlane): Promise<void> {
    const log = this.#log?.log;
    let exitCode: number = EXIT.ok;
    const graceMs = this.#configuration?.gateway.shutdownGraceMs ?? 0;
    log?.info({ graceMs }, 'stopping');
    try {
      await gateway.stop(graceMs);
      log?.info('stopped');
    } catch (error) {
      log?.error({ err: error }, 'could not stop in order');
      exitCode = EXIT.unexpected;
    }
    await this.#log?.flush();
    endProcess(exitCode);
  }
}

/** After a crash it has its number already. */
function numbered(configuration: ResolvedConfiguration, revision: number): ResolvedConfiguration {
  return { ...configuration, revision: configuration.revision ?? revision };
}
