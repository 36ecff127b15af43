import type { PluginLog, PluginStore } from '@sluice/sdk';
import { describe, expect, it } from 'vitest';
import { FirstSeen } from './first-seen.js';

/** What all workers share. */
function storeOf(kept: Map<string, string>, fault?: Error): PluginStore {
  return {
    get: async (key) => kept.get(key),
    set: async (key, value) => {
      if (fault !== undefined) throw fault;
      kept.set(key, value);
    },
    delete: async () => undefined,
    keys: async () => [],
  };
}

const warned: string[] = [];
const log = { warn: (_fields: object, message: string) => void warned.push(message) } as unknown as PluginLog;

describe('what is seen first', () => {
  it('is the same for all workers, and after a restart', async () => {
    const kept = new Map<string, string>();
    const [one, two] = [new FirstSeen(storeOf(kept), log), new FirstSeen(storeOf(kept), log)];
    expect(await one.of('files:read', 'A')).toBe('A');
    expect(await two.of('files:read', 'B')).toBe('A');
    expect(await one.of('files:read', 'B')).toBe('A');
    expect(await new FirstSeen(storeOf(kept), log).of('files:read', 'B')).toBe('A');
    expect([one.known('files:read'), one.known('files:write')]).toEqual(['A', undefined]);
  });

  it('is one, where two see two things at once', async () => {
    const kept = new Map<string, string>();
    const workers = [new FirstSeen(storeOf(kept), log), new FirstSeen(storeOf(kept), log)];
    await Promise.all(workers.map((worker, index) => worker.of('files:read', index === 0 ? 'A' : 'B')));
    const later = await Promise.all(workers.map((worker) => worker.of('files:read', 'C')));
    expect(new Set(later).size).toBe(1);
  });

  it('is nothing where it cannot be remembered, and that is said', async () => {
    const full = new FirstSeen(storeOf(new Map(), new RangeError('full')), log);
    expect(await full.of('files:read', 'A')).toBeUndefined();
    expect(warned).toEqual(['a tool cannot be remembered, so it waits to be accepted']);
    const broken = new FirstSeen(storeOf(new Map(), new Error('gone')), log);
    await expect(broken.of('files:read', 'A')).rejects.toThrow('gone');
  });
});
