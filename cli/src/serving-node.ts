import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DataPlane } from '@sluice/data-plane';
import { ClusterNode, type ClusterNodeOptions } from '@sluice/data-plane/node';
import { type LogLevel, type ResolvedConfiguration, resolveGateway } from '@sluice/proto';
import { followCertificate } from './certificate-watch.js';
import { endProcess } from './controlling-terminal.js';
import { EXIT } from './exit-codes.js';
import { openLog, type ProcessLog } from './log.js';
import type { NodeFlags } from './node-flags.js';
import { sharedKey, sharingOf } from './node-sharing.js';
import { parentSettings } from './parent-settings.js';
import type { DataPlaneReport, StartOrder } from './process-messages.js';
import { withChosenPorts, withRunningSettings } from './running-settings.js';
import { explainStartFailure } from './start-failure.js';
import { packageVersion } from './version.js';

/** What the parent and the log go by until there is a configuration. */
const FIRST_CONFIGURATION: ResolvedConfiguration = {
  gateway: resolveGateway(undefined),
  upstreams: [],
  servers: [],
  plugins: [],
};

/** The process of `sluice data-plane`: log, node and the order in which it stops. */
export class ServingNode {
  #log: ProcessLog | undefined;
  #node: ClusterNode | undefined;
  #running: ResolvedConfiguration | undefined;
  #endWatch = () => {};
  #stopping = false;
  #hasFailed = false;
  /** Other nodes may be there, and no option names the key that all of them have. */
  #mayLackKey = false;

  constructor(
    private readonly flags: NodeFlags,
    private readonly report: (report: DataPlaneReport) => void,
  ) {}

  async start(order: StartOrder): Promise<void> {
    const first = this.#withLogFlags(FIRST_CONFIGURATION);
    const { logLevel, logFormat } = parentSettings(first);
    this.#log = openLog(logLevel, logFormat, () => {});
    const { log } = this.#log;
    let options: ClusterNodeOptions;
    try {
      options = this.#options(order);
      this.#node = new ClusterNode(options);
      await this.#node.start();
    } catch (error) {
      await this.#fail(error, first, order.restarted);
      return;
    }
    log.debug({ node: this.flags.node }, 'the node has started');
  }

  #options({ keyHex, endedSessions, restarted }: StartOrder): ClusterNodeOptions {
    const { flags } = this;
    const { log } = this.#log as ProcessLog;
    const { stateDir, tls, tlsCa, tlsCert, tlsKey } = flags;
    const isEncrypted = tls !== undefined || tlsCa !== undefined || tlsCert !== undefined;
    const token = this.#token();
    const key = sharedKey(flags);
    const sharing = sharingOf(flags, key);
    this.#mayLackKey = sharing !== undefined && key === undefined;
    if (token !== undefined && !isEncrypted && !flags.controlPlane.every(isLoopbackAddress))
      log.warn('the token goes to the control plane unencrypted; give --tls or --tls-ca');
    return {
      node: flags.node,
      region: flags.region,
      version: packageVersion(),
      settings: {
        listen: {
          host: flags.host,
          port: flags.port,
          workerCount: flags.workers,
          listener: flags.listener,
          insecure: flags.insecure === true,
          ...(flags.listenCert !== undefined &&
            flags.listenKey !== undefined && {
              tls: { certFile: resolve(flags.listenCert), keyFile: resolve(flags.listenKey) },
            }),
        },
        ...(stateDir === undefined ? {} : { stateDir: resolve(stateDir) }),
        log: {
          ...(flags.logLevel && { level: flags.logLevel as LogLevel }),
          ...(flags.logFormat && { format: flags.logFormat }),
        },
      },
      controlPlanes: {
        addresses: flags.controlPlane,
        ...(isEncrypted && { tls: { caFile: tlsCa, certFile: tlsCert, keyFile: tlsKey } }),
        token,
      },
      sharing,
      log,
      dataPlane: {
        key: key ?? Buffer.from(keyHex, 'hex'),
        sessionEnds: { before: endedSessions, onEnd: (id) => this.report({ type: 'sessionEnd', id }) },
        onProcessGroup: (leaderPid, lives) => this.report({ type: 'processGroup', leaderPid, lives }),
      },
      asRunning: (wanted, running) => {
        const { configuration, waiting } = withRunningSettings(wanted, running);
        if (waiting.length > 0) log.warn({ settings: waiting }, `needs a restart: ${waiting.join(', ')}`);
        return configuration;
      },
      events: {
        waits: () => this.#keep(this.#withLogFlags(FIRST_CONFIGURATION)),
        serves: (gateway, configuration) => this.#serves(gateway, configuration),
        changed: (configuration) => {
          this.#keep(configuration);
          this.#warnOfOwnKey(configuration);
        },
        ordered: (reason) => {
          log.info({ reason }, reason === '' ? 'told to drain' : `told to drain: ${reason}`);
          // Nobody shall start another one.
          this.report({ type: 'leaving' });
          void this.stop();
        },
        failed: (error, listen) => {
          const { gateway } = FIRST_CONFIGURATION;
          const configuration = {
            ...FIRST_CONFIGURATION,
            gateway: { ...gateway, listen: { ...gateway.listen, ...listen } },
          };
          void this.#fail(error, configuration, restarted);
        },
      },
    };
  }

  #serves(gateway: DataPlane, configuration: ResolvedConfiguration): void {
    const { url, listener } = gateway;
    const { workerCount, tls } = configuration.gateway.listen;
    this.#keep(withChosenPorts(configuration, gateway));
    const log = this.#log?.log;
    log?.info({ url, listener, workers: workerCount, revision: configuration.revision }, 'listening');
    this.#warnOfOwnKey(configuration);
    if (tls && log) this.#endWatch = followCertificate(tls, gateway, log);
  }

  #warnOfOwnKey({ gateway }: ResolvedConfiguration): void {
    if (!this.#mayLackKey || gateway.sessions.keys.length > 0) return;
    this.#mayLackKey = false;
    this.#log?.log.warn(
      'sessions of other nodes cannot be opened here, nor those of this node there: give all nodes the same --key-file, or the cluster gateway.sessions.keys',
    );
  }

  /** Remembers what runs now, and tells the parent what it needs of that. */
  #keep(configuration: ResolvedConfiguration): void {
    const settings = parentSettings(configuration);
    this.#running = configuration;
    this.#log?.configure(settings.logLevel, settings.logFormat);
    // What to start with again stands on the disk.
    this.report({ type: 'running', snapshot: '', settings });
  }

  async #fail(error: unknown, configuration: ResolvedConfiguration, restarted: boolean): Promise<void> {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const { exitCode, explanation } = explainStartFailure(error, configuration);
    if (restarted) this.#log?.log.error({ err: error }, `the node could not start: ${explanation}`);
    else process.stderr.write(`sluice: ${explanation}\n`);
    await this.#log?.flush();
    endProcess(exitCode);
  }

  /** Takes nothing new, finishes what is under way within the time that the configuration gives, and says goodbye. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#endWatch();
    const log = this.#log?.log;
    const graceMs = (this.#running ?? FIRST_CONFIGURATION).gateway.shutdownGraceMs;
    let exitCode: number = EXIT.ok;
    log?.info({ graceMs }, 'stopping');
    try {
      await this.#node?.stop(graceMs);
      log?.info('stopped');
    } catch (error) {
      log?.error({ err: error }, 'could not stop in order');
      exitCode = EXIT.unexpected;
    }
    await this.#log?.flush();
    endProcess(exitCode);
  }

  #withLogFlags(configuration: ResolvedConfiguration): ResolvedConfiguration {
    const { logLevel, logFormat } = this.flags;
    const { gateway } = configuration;
    const log = {
      ...gateway.log,
      ...(logLevel && { level: logLevel as LogLevel }),
      ...(logFormat && { format: logFormat }),
    };
    return { ...configuration, gateway: { ...gateway, log } };
  }

  /** Reads the file at each call, so that it can be changed. Throws when it cannot be read now. */
  #token(): (() => string) | undefined {
    const { tokenFile } = this.flags;
    if (tokenFile === undefined) {
      const token = process.env.SLUICE_NODE_TOKEN;
      return token === undefined || token === '' ? undefined : () => token;
    }
    const read = () => readFileSync(tokenFile, 'utf8').trim();
    try {
      read();
    } catch (error) {
      throw new Error(`the token file ${tokenFile} cannot be read: ${(error as Error).message}`);
    }
    return read;
  }
}

function isLoopbackAddress(address: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):\d+$/.test(address);
}
