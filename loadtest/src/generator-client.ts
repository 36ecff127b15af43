import { fileURLToPath } from 'node:url';
import type { GeneratorCommand, GeneratorReply, LoadFigures, PingFigures } from './generator-messages.js';
import type { Target } from './mcp-request.js';
import { NODE_PROGRAM } from './node-program.js';
import type { RunningProcess, StartedProcesses } from './running-process.js';

/** Time beyond the planned one after which the generator counts as stuck. */
const COMMAND_GRACE_MS = 60_000;
/** A stream is opened, or closed with its session, in less time than this on a busy machine. */
const STREAM_SECONDS = 0.02;

/** The benchmark's end of the load generator. */
export class Generator {
  readonly process: RunningProcess;
  #streams = 0;

  constructor(processes: StartedProcesses) {
    const script = fileURLToPath(new URL('./generator.js', import.meta.url));
    const spec = { name: 'the load generator', command: NODE_PROGRAM, args: [script], ipc: true };
    this.process = processes.start(spec);
  }

  /** Opens sessions at a target and calls it once. @throws Error when its answers are wrong. */
  async open(key: string, target: Target, sessions: number): Promise<void> {
    await this.#command({ do: 'open', key, target, sessions }, 0);
  }

  async load(key: string, connections: number, seconds: number): Promise<LoadFigures> {
    return (await this.#command({ do: 'load', key, connections, seconds }, seconds)) as LoadFigures;
  }

  async ping(keys: string[], secondsEach: number): Promise<PingFigures[]> {
    return (await this.#command(
      { do: 'ping', keys, secondsEach },
      keys.length * secondsEach,
    )) as PingFigures[];
  }

  /** Opens idle streams, beside those that are open. @throws Error when one is refused. */
  async listen(target: Target, streams: number): Promise<void> {
    await this.#command({ do: 'listen', target, streams }, streams * STREAM_SECONDS);
    this.#streams += streams;
  }

  /** Closes all idle streams. Returns how many had ended before. */
  async hangUp(): Promise<number> {
    const planned = this.#streams * STREAM_SECONDS;
    this.#streams = 0;
    return (await this.#command({ do: 'hang up' }, planned)) as number;
  }

  /** Ends the sessions. */
  async close(): Promise<void> {
    await this.#command({ do: 'close' }, 0);
  }

  async #command(command: GeneratorCommand, plannedSeconds: number): Promise<unknown> {
    const { child, ended, name } = this.process;
    let timer: NodeJS.Timeout | undefined;
    let listener: (reply: GeneratorReply) => void = () => {};
    const reply = new Promise<GeneratorReply>((resolve) => {
      listener = resolve;
      child.once('message', listener);
    });
    const failed = new Promise<never>((_, reject) => {
      const stuck = () => reject(new Error(`${name} did not finish "${command.do}" in time`));
      timer = setTimeout(stuck, plannedSeconds * 1000 + COMMAND_GRACE_MS);
      void ended.then((how) => reject(new Error(`${name} ${how}: ${this.process.lastOutput}`)));
    });
    try {
      child.send(command);
      const answer = await Promise.race([reply, failed]);
      if ('error' in answer) throw new Error(answer.error);
      return answer.result;
    } finally {
      clearTimeout(timer);
      child.off('message', listener);
    }
  }
}
