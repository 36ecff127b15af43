import type { SimulatedProcess, Surroundings } from './simulated-process.js';
import { latencyMs } from './simulated-store.js';

/** One direction of a connection: what goes in comes out later, in order, or not at all when it was cut. */
export class Pipe {
  private lastAtMs = 0;
  private isCut = false;

  constructor(
    private readonly surroundings: Surroundings,
    /** Who hears; nobody when it is dead. */
    private readonly to: Pick<SimulatedProcess, 'isAlive'>,
  ) {}

  /** @param deliver what arriving does */
  send(deliver: () => void): void {
    const { schedule, random } = this.surroundings;
    this.lastAtMs = Math.max(this.lastAtMs + 0.001, schedule.nowMs + latencyMs(random));
    schedule.after(this.lastAtMs - schedule.nowMs, () => {
      if (!this.isCut && this.to.isAlive) deliver();
    });
  }

  /** What is under way is lost. */
  cut(): void {
    this.isCut = true;
  }
}
