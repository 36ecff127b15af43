import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGateway } from '../gateway.js';
import {
  everything,
  filesystem,
  memory,
  startDemo,
  startEverything,
  startFixtureOn,
  thinking,
} from './upstreams.js';

/** A gateway with the servers that everybody uses. */
export interface RealGateway {
  /** Without a path. */
  url: string;
  /** What `files` may read and write; it holds `hello.txt` with {@link HELLO}. */
  folder: string;
  stop(): Promise<void>;
}

export const HELLO = 'Grüße ✓';

/**
 * Starts `everything`, `files`, `memory` and `thinking` over stdio, `everything-http`, `fixture` and `demo` over
 * HTTP, and a gateway in front of them.
 */
export async function startRealGateway(): Promise<RealGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-stories-'));
  await writeFile(join(folder, 'hello.txt'), HELLO);
  const [everythingHttp, fixture, demo] = await Promise.all([
    startEverything(),
    startFixtureOn(0, 'both'),
    startDemo(),
  ]);
  const gateway = await startGateway({
    config: {
      upstreams: [
        everything(),
        filesystem(folder),
        memory(join(folder, 'memory.json')),
        thinking(),
        { name: 'everything-http', url: everythingHttp.url },
        { name: 'fixture', url: fixture.url },
        { name: 'demo', url: demo.url },
      ],
    },
  });
  return {
    url: gateway.url,
    folder,
    async stop() {
      await gateway.stop();
      await Promise.all([everythingHttp, fixture, demo].map((server) => server.kill()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
