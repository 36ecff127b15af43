/** A command of the product that can be killed with all of its processes, and started again as it was. */
import { murder, type RunningNode } from '../stories/cluster/node.js';

export class Restartable<T extends RunningNode> {
  private running: T | undefined;
  private lives = 0;

  constructor(
    readonly name: string,
    private readonly start: () => Promise<T>,
    /** Resolves when it can be used. */
    private readonly isReady: () => Promise<void>,
  ) {}

  get isUp(): boolean {
    return this.running !== undefined;
  }

  /** Times that it was started. */
  get lifeCount(): number {
    return this.lives;
  }

  async up(): Promise<void> {
    if (this.running === undefined) {
      this.lives++;
      this.running = await this.start();
    }
    await this.isReady();
  }

  /** Nobody of it gets another moment: neither the parent nor its children. */
  async murder(): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    this.running = undefined;
    await murder(running);
  }

  async stop(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    await running?.stop();
  }

  logs(): string {
    return this.running?.logs() ?? '';
  }
}
