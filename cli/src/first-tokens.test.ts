import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { firstTokens, forgetFirstTokens, type MadeTokens, showFirstTokens } from './first-tokens.js';

const TOKEN = /sluice_(?:node|admin)_[\w-]{43}/;
const ADDRESSES = { nodes: '127.0.0.1:1', admin: '127.0.0.1:2' };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-it's-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function made(): MadeTokens {
  const wanted = { nodeTokensFile: undefined, adminTokensFile: undefined };
  const { made: tokens } = firstTokens(folder, { ...wanted, hasOtherNodes: false, hasOtherCallers: false });
  return tokens as MadeTokens;
}

function shown(tokens: MadeTokens, isTTY: boolean): string {
  let text = '';
  showFirstTokens(tokens, ADDRESSES, { isTTY, write: (more) => (text += more) });
  return text;
}

it('shows tokens on a terminal, and writes them nowhere', () => {
  const tokens = made();
  const text = shown(tokens, true);
  expect(text).toContain(`SLUICE_NODE_TOKEN=${tokens.node} sluice data-plane`);
  expect(text).toContain(`SLUICE_ADMIN_TOKEN=${tokens.admin} `);
  for (const file of readdirSync(folder)) expect(readFileSync(join(folder, file), 'utf8')).not.toMatch(TOKEN);
});

it('writes them to files of their owner where they would stand in a log, and shows how to read those', () => {
  const tokens = made();
  writeFileSync(join(folder, 'first-node-token'), 'of an earlier start', { mode: 0o644 });
  const text = shown(tokens, false);
  expect(text).not.toMatch(TOKEN);
  for (const [kind, token] of [
    ['node', tokens.node],
    ['admin', tokens.admin],
  ] as const) {
    expect(statSync(join(folder, `first-${kind}-token`)).mode & 0o777).toBe(0o600);
    const said = text.match(new RegExp(`SLUICE_${kind.toUpperCase()}_TOKEN=("\\$\\(cat .*?\\)") `))?.[1];
    expect(execFileSync('sh', ['-c', `printf %s ${said}`], { encoding: 'utf8' })).toBe(token);
  }
  forgetFirstTokens(tokens);
  expect(readdirSync(folder)).toEqual([]);
});
