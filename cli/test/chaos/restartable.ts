/** A command of the product that can be killed with all of its processes, and started again as it was. */
import { murder, type RunningNode } from '../stories/cluster/node.js';

export class Restartable<T extends RunningNode> {
  private running: T | undefined;
  private starting: Promise<void> | undefined;
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

  /** Starts it if it does not run; several may wait for that. */
  async up(): Promise<void> {
    if (this.running === undefined) {
      this.starting ??= this.begin().finally(() => {
        this.starting = undefined;
      });
      await this.starting;
    }
    await this.isReady();
  }

  private async begin(): Promise<void> {
    this.lives++;
    this.running = await this.start();
  }

  /** Nobody of it gets another moment: neither the parent nor its children. */
  async murder(): Promise<void> {
    const { running } = this;
    if (running === undefined) return;
    this.running = undefined;
    await murder(running);
  }

  async stop(): Promise<void> {
    await this.starting;
    const { running } = this;
    this.running = undefined;
    await running?.stop();
  }

  logs(): string {
    return this.running?.logs() ?? '';
  }
}
