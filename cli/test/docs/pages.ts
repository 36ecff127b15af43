import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds the README. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Paths of all pages from {@link ROOT} on. */
export const PAGES: readonly string[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].sort();

export function readPage(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** A fenced block. */
export interface Block {
  readonly page: string;
  /** Where it begins; the first line is 1. */
  readonly line: number;
  /** The first word behind the fence; empty when there is none. */
  readonly language: string;
  /** What `file=` says behind the fence: the path of the file that the block shows. */
  readonly file: string | undefined;
  readonly text: string;
}

/** All fenced blocks of all pages. */
export function allBlocks(): Block[] {
  return PAGES.flatMap(blocksOf);
}

export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string; lines: string[] } | undefined;
  for (const [index, line] of readPage(page).split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === undefined) open = { line: index + 1, info: fence[1] as string, lines: [] };
    else {
      const [language = '', ...rest] = open.info.split(' ');
      const file = rest.find((word) => word.startsWith('file='))?.slice('file='.length);
      blocks.push({ page, line: open.line, language, file, text: `${open.lines.join('\n')}\n` });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: the block is not closed`);
  return blocks;
}
