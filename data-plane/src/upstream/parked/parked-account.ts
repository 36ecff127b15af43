/**
 * What the parked calls of one worker may take together, whatever upstream they wait for: how many wait, of one
 * principal and in all, and the bytes that are held back for clients who are away.
 */
import { ErrorCode, RpcError } from '../../protocol/errors.js';

/** `gateway.sessions`, as far as it speaks of parked calls. */
export interface ParkedLimits {
  readonly maxParkedCallCount: number;
  readonly maxParkedCallPerPrincipalCount: number;
  readonly maxParkedBytes: number;
  readonly parkedCallLifetimeMs: number;
}

/** A call that has ended and is remembered for the same retry sent twice: it makes room for others. */
export interface Remembered {
  readonly principal: string;
  /** Gives its bytes back. */
  forget(): void;
}

export class ParkedAccount {
  private waitingCount = 0;
  private readonly waitingByPrincipal = new Map<string, number>();
  private bytes = 0;
  private readonly bytesByPrincipal = new Map<string, number>();
  /** The oldest first. */
  private readonly remembered = new Set<Remembered>();

  constructor(private limits: ParkedLimits) {}

  /** New limits hold from now on. What waits already goes on, within the new lifetime. */
  apply(limits: ParkedLimits): void {
    this.limits = limits;
    this.makeRoom(0);
    for (const principal of [...this.bytesByPrincipal.keys()]) this.makeRoomOf(principal, 0);
  }

  /** Calls that have asked and have not ended. */
  get callCount(): number {
    return this.waitingCount;
  }

  get heldBytes(): number {
    return this.bytes;
  }

  get lifetimeMs(): number {
    return this.limits.parkedCallLifetimeMs;
  }

  /** A call of this principal begins to wait. Returns why it may not. */
  enter(principal: string): RpcError | undefined {
    const { maxParkedCallCount, maxParkedCallPerPrincipalCount } = this.limits;
    if (this.waitingCount >= maxParkedCallCount)
      return overLimit(`${this.waitingCount} calls`, 'max_parked_calls');
    const ofPrincipal = this.waitingByPrincipal.get(principal) ?? 0;
    if (ofPrincipal >= maxParkedCallPerPrincipalCount)
      return overLimit(`${ofPrincipal} calls of one principal`, 'max_parked_calls_per_principal');
    this.waitingCount++;
    this.waitingByPrincipal.set(principal, ofPrincipal + 1);
    return undefined;
  }

  leave(principal: string): void {
    this.waitingCount--;
    const left = (this.waitingByPrincipal.get(principal) ?? 0) - 1;
    if (left > 0) this.waitingByPrincipal.set(principal, left);
    else this.waitingByPrincipal.delete(principal);
  }

  /** Takes bytes, for which remembered calls are forgotten; false when they cannot be had. */
  hold(bytes: number, principal: string): boolean {
    this.makeRoomOf(principal, bytes);
    const ofPrincipal = this.bytesOf(principal) + bytes;
    if (ofPrincipal > this.shareBytes) return false;
    this.makeRoom(bytes);
    if (this.bytes + bytes > this.limits.maxParkedBytes) return false;
    this.bytes += bytes;
    if (ofPrincipal > 0) this.bytesByPrincipal.set(principal, ofPrincipal);
    return true;
  }

  release(bytes: number, principal: string): void {
    this.bytes -= bytes;
    const left = this.bytesOf(principal) - bytes;
    if (left > 0) this.bytesByPrincipal.set(principal, left);
    else this.bytesByPrincipal.delete(principal);
  }

  remember(call: Remembered): void {
    this.remembered.add(call);
  }

  /** It was forgotten, or has made room. */
  forgotten(call: Remembered): void {
    this.remembered.delete(call);
  }

  /** Whoever may have a quarter of the calls may hold a quarter of the bytes. */
  private get shareBytes(): number {
    const { maxParkedBytes, maxParkedCallCount, maxParkedCallPerPrincipalCount } = this.limits;
    return Math.floor(maxParkedBytes * Math.min(1, maxParkedCallPerPrincipalCount / maxParkedCallCount));
  }

  private bytesOf(principal: string): number {
    return this.bytesByPrincipal.get(principal) ?? 0;
  }

  bytesError(): RpcError {
    const { maxParkedBytes } = this.limits;
    return new RpcError(
      ErrorCode.Overloaded,
      `calls that wait for their clients hold ${this.bytes} bytes on this worker; all may hold ${maxParkedBytes} (gateway.sessions.max_parked_bytes), and those of one principal ${this.shareBytes} of these (by gateway.sessions.max_parked_calls_per_principal); the call may have run`,
    );
  }

  private makeRoomOf(principal: string, bytes: number): void {
    for (const call of this.remembered) {
      if (this.bytesOf(principal) + bytes <= this.shareBytes) return;
      if (call.principal !== principal) continue;
      this.remembered.delete(call);
      call.forget();
    }
  }

  private makeRoom(bytes: number): void {
    for (const call of this.remembered) {
      if (this.bytes + bytes <= this.limits.maxParkedBytes) return;
      this.remembered.delete(call);
      call.forget();
    }
  }
}

/** What one call holds of the account. */
export class Holding {
  private bytes = 0;

  constructor(
    readonly account: ParkedAccount,
    private readonly principal: string,
  ) {}

  take(bytes: number): boolean {
    if (!this.account.hold(bytes, this.principal)) return false;
    this.bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.bytes -= bytes;
    this.account.release(bytes, this.principal);
  }

  giveAll(): void {
    this.give(this.bytes);
  }
}

function overLimit(what: string, setting: string): RpcError {
  return new RpcError(
    ErrorCode.Overloaded,
    `${what} wait for answers of their clients on this worker, as many as may (gateway.sessions.${setting}); the call was cancelled at the upstream and may have run`,
  );
}
