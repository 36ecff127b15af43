import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { frozen, type JsonObject, Outcome, type PluginHost, Refusal } from '@sluice/sdk';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { isolatedHooks } from './isolated-hooks.js';
import { ISOLATION_LIMITS, type IsolationLimits } from './limits.js';
import { PluginProcess } from './plugin-process.js';

/* What a plugin elsewhere takes of memory is taken from nobody else, and comes back. */

const FOLDER = fileURLToPath(new URL('../../../test/plugins/misbehaving', import.meta.url));
const IS_FULL = process.env.SLUICE_TEST_FULL === '1';
const MIB = 2 ** 20;
const LIMITS: IsolationLimits = { ...ISOLATION_LIMITS, hookTimeMs: 3_000 };

const open: PluginProcess[] = [];

async function start(place: 'pool' | 'process', limits = LIMITS): Promise<PluginProcess> {
  const runner = await PluginProcess.start({
    place,
    order: { module: `file://${FOLDER}/index.js`, binding: 'tested', config: {} },
    limits,
    log: pino({ level: 'silent' }),
    readable: [FOLDER],
    mayFetch: [],
  });
  runner.serve({} as PluginHost);
  open.push(runner);
  return runner;
}

afterEach(async () => {
  for (const runner of open.splice(0)) await runner.close();
});

async function result(runner: PluginProcess, args: JsonObject) {
  const next = async () => Outcome.ofResult({});
  const answer = await isolatedHooks(runner).exchange?.(frozen({ arguments: args }), next);
  if (answer instanceof Refusal) throw answer;
  return answer?.result;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heldBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** How much more this process held at once while something was done than before. */
async function mostHeldBytes(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage().rss;
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 10);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
  return Math.max(most, process.memoryUsage().rss) - before;
}

describe.each(['pool', 'process'] as const)('in a %s', (place) => {
  it.each(['array', 'texts', 'textBuffers', ...(place === 'pool' ? ['kill'] : [])])(
    'too much at once costs the exchanges of one plugin, and those of others go on: %s',
    async (deed) => {
      const [runner, other] = await Promise.all([start(place), start(place)]);
      const [before, pidOfOther] = [runner.pid, other.pid];
      let isOver = false;
      let otherCount = 0;
      const others = (async () => {
        while (!isOver || otherCount === 0) {
          expect(await result(other, { do: 'echo' })).toMatchObject({ content: [] });
          otherCount++;
        }
      })();
      const held = await mostHeldBytes(() => expect(result(runner, { do: deed })).rejects.toThrow());
      isOver = true;
      await others;
      expect(held).toBeLessThan(300 * MIB);
      expect(other.pid).toBe(pidOfOther);
      expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
      expect(existsSync(`/proc/${before}`)).toBe(runner.pid === before);
    },
  );

  it('a reply of a gigabyte is cut where it is made', async () => {
    const runner = await start(place);
    const held = await mostHeldBytes(() =>
      expect(result(runner, { do: 'gigabyte' })).rejects.toThrow('longer than the 16777216 characters'),
    );
    expect(held).toBeLessThan(300 * MIB);
    expect(await result(runner, { do: 'echo' })).toMatchObject({ content: [] });
  });

  it.runIf(IS_FULL)('a gigabyte of messages is not held', { timeout: 120_000 }, async () => {
    const runner = await start(place, { ...LIMITS, hookTimeMs: 100_000 });
    const [count, bytes] = [64, 16 * MIB];
    const held = await mostHeldBytes(async () =>
      expect(await result(runner, { do: 'written', count, bytes })).toEqual({ written: 1024 * MIB }),
    );
    expect(held).toBeLessThan(500 * MIB);
  });

  it('gives its memory back when it is unloaded', async () => {
    const use = async () => {
      const runner = await start(place);
      const text = 'x'.repeat(MIB);
      for (let index = 0; index < 20; index++) await result(runner, { do: 'echo', text });
      expect(await result(runner, { do: 'hold' })).toEqual({ count: 1 });
      const { pid } = runner;
      open.splice(0);
      await runner.close();
      expect(existsSync(`/proc/${pid}`)).toBe(false);
    };
    // What is loaded for the first plugin stays.
    await use();
    const before = heldBytes();
    await use();
    await use();
    expect(heldBytes() - before).toBeLessThan(8 * MIB);
  });
});
