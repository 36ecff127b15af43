import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdminClient, connectAdmin } from '@sluice/sdk/admin';
import { vi } from 'vitest';
import { freePort } from '../upstreams.js';
import { type RunningNode, startCommand } from './node.js';

export const SOON = { timeout: 20_000, interval: 50 };

/** Long enough to be no guess, and the same in all replicas. */
export const NODE_TOKEN = 'node-token-of-the-tests-0123456789abcdef';
export const ADMIN_TOKEN = 'admin-token-of-the-tests-0123456789abcde';

/** `sluice control-plane` as a user runs it. */
export interface RunningControlPlane extends RunningNode {
  /** `host:port` where nodes come. */
  readonly nodes: string;
  readonly admin: string;
  readonly health: string;
  readonly client: AdminClient;
  /** Standard output so far. */
  printed(): string;
  /** What `/ready` says. */
  ready(): Promise<{ status: number; body: { status?: string; reason?: string } }>;
  /** Resolves when it serves. */
  isReady(): Promise<void>;
}

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** Files of tokens that let every node and one admin in; the arguments that name them. */
export async function tokenFiles(folder: string): Promise<string[]> {
  const nodes = join(folder, 'nodes.yaml');
  const admins = join(folder, 'admins.yaml');
  await writeFile(nodes, `- { node: "*", token_sha256: "${sha256(NODE_TOKEN)}" }\n`);
  await writeFile(admins, `- { name: tester, token_sha256: "${sha256(ADMIN_TOKEN)}", role: admin }\n`);
  return ['--node-tokens-file', nodes, '--admin-tokens-file', admins];
}

/** Starts a replica on free ports; those that it had before, when they are given. */
export async function startControlPlane(
  args: readonly string[],
  { ports, env = {}, token = ADMIN_TOKEN, fileBlockCount }: StartOptions = {},
): Promise<RunningControlPlane> {
  const [nodesPort, adminPort, healthPort] = ports ?? [await freePort(), await freePort(), await freePort()];
  const [nodes, admin, health] = [nodesPort, adminPort, healthPort].map((port) => `127.0.0.1:${port}`) as [
    string,
    string,
    string,
  ];
  const listen = ['--listen', nodes, '--admin-listen', admin, '--health-listen', health];
  const process = startCommand(
    ['control-plane', '--log-format', 'json', ...listen, ...args],
    env,
    fileBlockCount,
  );
  const client = connectAdmin({ address: admin, token });
  const ready = async () => {
    const answer = await fetch(`http://${health}/ready`).catch(() => undefined);
    return answer === undefined
      ? { status: 0, body: {} }
      : { status: answer.status, body: (await answer.json()) as object };
  };
  return {
    ...process,
    nodes,
    admin,
    health,
    client,
    ready,
    async isReady() {
      await vi.waitFor(async () => {
        if ((await ready()).status !== 200) throw new Error(`not ready:\n${process.logs()}`);
      }, SOON);
    },
    async stop() {
      client.close();
      return process.stop();
    },
  };
}

interface StartOptions {
  /** For nodes, the admin API and health. */
  readonly ports?: readonly [number, number, number];
  readonly env?: Record<string, string>;
  /** Of the admin API. */
  readonly token?: string;
  /** How large its files may become (`ulimit -f`). */
  readonly fileBlockCount?: number;
}

/** The ports of a replica, to start it again. */
export function portsOf({ nodes, admin, health }: RunningControlPlane): readonly [number, number, number] {
  return [nodes, admin, health].map((each) => Number(each.split(':').at(-1))) as [number, number, number];
}
