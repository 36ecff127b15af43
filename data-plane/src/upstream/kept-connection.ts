/** A connection to an upstream that is shared: made when it is needed, and again when it was lost. */
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { reasonOf } from './reason.js';
import type { Shared } from './shared-connection.js';

/** Wait before a connection is made again: at once the first time, then doubled. */
const RESTART_MIN_MS = 500;
/** A connection that lived this long counts as healthy again. */
const HEALTHY_AFTER_MS = 60_000;

export interface KeptConnectionOptions {
  /** Of the upstream. */
  readonly name: string;
  /** The longest wait before it is made again, in milliseconds; undefined where there is no need to wait. */
  readonly backoffMaxMs: number | undefined;
  /** Makes it. When it is lost, {@link KeptConnection.lost} is to be told. */
  readonly connect: () => Promise<Shared>;
}

export class KeptConnection {
  /** Undefined while there is none. */
  current: Shared | undefined;
  private opening: Promise<Shared> | undefined;
  private restartCount = 0;
  private notBefore = 0;
  /** How the one ended that is made again; undefined before the first did. */
  private lastEnding: Error | undefined;
  private startedAt = 0;
  private closed = false;

  constructor(private readonly options: KeptConnectionOptions) {}

  /** Time until it may be made again, in milliseconds. */
  get restartDelayMs(): number {
    return Math.max(0, this.notBefore - Date.now());
  }

  /** Makes it when there is none; all who ask meanwhile wait for the same. Rejects with an RpcError. */
  ensure(): Promise<Shared> {
    if (this.current !== undefined) return Promise.resolve(this.current);
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    this.opening ??= this.options
      .connect()
      .then((shared) => {
        this.current = shared;
        this.startedAt = Date.now();
        return shared;
      })
      .catch((thrown: unknown) => {
        const error = RpcError.from(thrown);
        // Where there is no room for one more it is not the upstream that has to be spared.
        if (error.code !== ErrorCode.Overloaded) this.backOff(reasonOf(error));
        throw thrown;
      })
      .finally(() => {
        this.opening = undefined;
      });
    return this.opening;
  }

  /** Lets go of one that is of no use any more; false when that has happened already. */
  forget(stale: Shared): boolean {
    if (this.current !== stale) return false;
    this.current = undefined;
    return true;
  }

  /** @param reason why, as a sentence */
  lost(reason: string): void {
    this.current = undefined;
    if (Date.now() - this.startedAt > HEALTHY_AFTER_MS) this.restartCount = 0;
    this.backOff(reason);
  }

  /** Ends it for good. One that is being made ends as soon as it is there, and nobody waits for that. */
  async close(): Promise<void> {
    this.closed = true;
    const { current } = this;
    this.current = undefined;
    this.opening?.then(
      (opened) => opened.close(),
      () => undefined,
    );
    await current?.close();
  }

  private refusal(): RpcError | undefined {
    const upstream = `upstream ${JSON.stringify(this.options.name)}`;
    if (this.closed) {
      const reason = `${upstream} was removed from the configuration`;
      return new RpcError(ErrorCode.UpstreamUnavailable, reason);
    }
    const waitMs = this.restartDelayMs;
    if (waitMs === 0 || this.opening !== undefined) return undefined;
    return new RpcError(
      ErrorCode.UpstreamUnavailable,
      `the connection to ${upstream} was lost and is made again in ${Math.ceil(waitMs / 1000)} s; the request was not sent`,
      undefined,
      { cause: this.lastEnding },
    );
  }

  /** @param ending how the connection ended */
  private backOff(ending: string): void {
    const { backoffMaxMs } = this.options;
    if (backoffMaxMs === undefined) return;
    this.lastEnding = new Error(ending);
    const doubledMs = RESTART_MIN_MS * 2 ** (this.restartCount - 1);
    const waitMs = this.restartCount === 0 ? 0 : Math.min(doubledMs, backoffMaxMs);
    this.restartCount++;
    this.notBefore = Date.now() + waitMs;
  }
}
