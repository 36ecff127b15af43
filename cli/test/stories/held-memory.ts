import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

/** What the heaps of a process hold after a collection. Resident memory would hold garbage and say nothing of leaks. */

const COLLECTED_LIMIT_MS = 30_000;

export class HeldMemory {
  private readonly folder = mkdtempSync(join(tmpdir(), 'sluice-test-heap-'));
  private askedCount = 0;

  /** Variables with which a gateway must be started. */
  get env(): Record<string, string> {
    const preload = new URL('./held-memory.mjs', import.meta.url).href;
    return { NODE_OPTIONS: `--import=${preload}`, SLUICE_TEST_HEAP_FOLDER: this.folder };
  }

  /** Bytes that all threads of a process hold together, buffers outside of their heaps included. */
  async bytes(pid: number): Promise<number> {
    const asked = String(++this.askedCount);
    const threads = this.filesOf(`thread.${pid}.`).map((name) => name.slice('thread.'.length));
    if (threads.length === 0) throw new Error(`process ${pid} was not started with these variables`);
    const answers = threads.map((thread) => `held.${thread}.${asked}`);
    writeFileSync(join(this.folder, 'asked.new'), asked);
    renameSync(join(this.folder, 'asked.new'), join(this.folder, 'asked'));
    await expect
      .poll(() => this.filesOf(`held.${pid}.`), { timeout: COLLECTED_LIMIT_MS })
      .toEqual(expect.arrayContaining(answers));
    return answers.reduce((sum, name) => sum + Number(readFileSync(join(this.folder, name), 'utf8')), 0);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private filesOf(prefix: string): string[] {
    return readdirSync(this.folder).filter((name) => name.startsWith(prefix) && !name.endsWith('.new'));
  }
}
