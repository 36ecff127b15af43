/** Looks at tools that wait, and accepts them: what `sluice pin` does. */
import { rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { formatProblem, type Pins, pinsFileOf, readPins } from '@sluice/control-plane';
import { type OfferedTools, offeredTools } from '@sluice/data-plane';
import { type PinnedTool, pinnedTools } from '@sluice/plugins';
import { resolveConfiguration } from '@sluice/proto';
import { findFile, OWN_VARIABLES, readConfiguration } from '../configuration.js';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { alignColumns, type Palette, palette, printable, usesColour } from '../terminal.js';
import { differenceText, visible } from './difference.js';
import type { PinCommand } from './pin-command-line.js';

interface Found {
  readonly file: string;
  readonly pins: Pins;
  readonly tools: readonly PinnedTool[];
  readonly unreached: readonly { readonly upstream: string; readonly error: string }[];
}

/** @returns the exit code; 4 when an upstream did not answer, whatever was said of the others */
export async function runPin(command: PinCommand, out: Output, err: Output): Promise<number> {
  const found = await look(command, err);
  if (typeof found === 'number') return found;
  const paint = palette(usesColour(out));
  const chosen = chosenOf(command, found, err);
  if (typeof chosen === 'number') return chosen;
  const isAccepting = command.name === 'accept';
  if (isAccepting) await write(found, chosen);
  if (command.flags.output === 'json') {
    const { unreached } = found;
    const file = pinsFileOf(found.file);
    out.write(
      `${JSON.stringify({ file, ...(isAccepting ? { accepted: chosen } : { tools: chosen }), unreached }, undefined, 2)}\n`,
    );
  } else if (isAccepting) tellAccepted(found, chosen, out, paint);
  else if (command.name === 'diff') tellDifferences(chosen, out, paint);
  else tellStatus(found, chosen, out, paint);
  const paintErr = palette(usesColour(err));
  for (const { upstream, error } of found.unreached)
    err.write(`${paintErr.red(`${printable(upstream)} did not list its tools`)}: ${printable(error)}\n`);
  return found.unreached.length > 0 ? EXIT.unhealthy : EXIT.ok;
}

/** Reads the configuration and asks its upstreams; an exit code when that cannot be. */
async function look({ flags }: PinCommand, err: Output): Promise<Found | number> {
  const named = flags.config ?? findFile('.');
  const { configuration, problems } = await readConfiguration(named, { otherVariables: OWN_VARIABLES });
  const colour = usesColour(err);
  const refuse = (message: string) => {
    err.write(`${message}\n`);
    return EXIT.configuration;
  };
  if (configuration === undefined || named === undefined) {
    for (const problem of problems) err.write(`${formatProblem(problem, { colour })}\n`);
    return EXIT.configuration;
  }
  const file = resolve(named);
  const resolved = resolveConfiguration(configuration);
  const bindings = resolved.plugins.filter(({ plugin }) => plugin === 'pin');
  if (bindings.length === 0)
    return refuse(
      `${named} has no plugin \`pin\`, so nothing is pinned; add \`- plugin: pin\` to its plugins`,
    );
  const read = await readPins(pinsFileOf(file));
  if ('problem' in read) return refuse(formatProblem(read.problem, { colour }));
  const offered = await offeredTools(resolved);
  const pins = read.pins ?? {};
  return {
    file,
    pins,
    tools: pinnedTools(
      pins,
      listedOf(offered),
      bindings.flatMap(({ config }) => targetsOf(config)),
    ),
    unreached: offered.filter((each) => 'error' in each),
  };
}

function targetsOf(config: unknown): readonly string[] {
  return (config as { targets?: readonly string[] } | undefined)?.targets ?? ['*:*'];
}

function listedOf(offered: readonly OfferedTools[]) {
  return new Map(offered.flatMap((each) => ('tools' in each ? [[each.upstream, each.tools] as const] : [])));
}

/** The tools that are named, or all that wait; an exit code after saying which of them there is not. */
function chosenOf(
  { name, tools, flags }: PinCommand,
  found: Found,
  err: Output,
): readonly PinnedTool[] | number {
  if (tools.length === 0) {
    if (name === 'accept' && !flags.all) {
      err.write('error: name the tools that are accepted, as upstream:name, or say --all\n');
      return EXIT.usage;
    }
    return found.tools.filter(({ state }) => state !== 'accepted');
  }
  const byName = new Map(found.tools.map((tool) => [labelOf(tool), tool]));
  const chosen = tools.map((asked) => {
    // With the digest of what was looked at; a server may call another tool just so.
    const [, label = '', digest] = /^(.*)@([0-9a-f]{16})$/.exec(asked) ?? [];
    const tool = byName.get(label);
    return tool === undefined
      ? { asked, tool: byName.get(asked), digest: undefined }
      : { asked, tool, digest };
  });
  const unknown = chosen.filter(({ tool }) => tool === undefined);
  if (unknown.length > 0) {
    const names = unknown.map(({ asked }) => JSON.stringify(asked)).join(', ');
    err.write(`error: there is no pinned tool ${names}; sluice pin status lists those that wait\n`);
    return EXIT.usage;
  }
  const others = chosen.filter(({ tool, digest }) => digest !== undefined && tool?.digest !== digest);
  for (const { tool } of others)
    err.write(
      `error: ${visible(labelOf(tool as PinnedTool))} is another than that by now; look at it again\n`,
    );
  return others.length > 0 ? EXIT.conflict : chosen.map(({ tool }) => tool as PinnedTool);
}

function labelOf({ upstream, name }: PinnedTool): string {
  return `${upstream}:${name}`;
}

/** The whole file or the one that was there before: a gateway may read it at any time. */
async function write({ file, pins }: Found, chosen: readonly PinnedTool[]): Promise<void> {
  if (chosen.length === 0) return;
  const next = new Map(
    Object.entries(pins).map(([upstream, tools]) => [upstream, new Map(Object.entries(tools))]),
  );
  for (const { upstream, name, after } of chosen) {
    const tools = next.get(upstream) ?? new Map();
    next.set(upstream, tools);
    if (after === undefined) tools.delete(name);
    else tools.set(name, after);
  }
  const content = Object.fromEntries(
    [...next]
      .filter(([, tools]) => tools.size > 0)
      .sort(byName)
      .map(([upstream, tools]) => [upstream, Object.fromEntries([...tools].sort(byName))]),
  );
  const path = pinsFileOf(file);
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(content, undefined, 2)}\n`);
  await rename(draft, path);
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

function tellStatus({ tools }: Found, chosen: readonly PinnedTool[], out: Output, paint: Palette): void {
  const accepted = tools.filter(({ state }) => state === 'accepted').length;
  const rows = chosen.map((tool) => [
    stateText(tool, paint),
    visible(labelOf(tool)),
    paint.dim(tool.digest),
    whatText(tool),
  ]);
  for (const line of alignColumns(rows)) out.write(`${line}\n`);
  const waiting = tools.filter(({ state }) => state !== 'accepted').length;
  out.write(`${accepted} accepted, ${waiting} waiting\n`);
}

function stateText({ state, isBreaking }: PinnedTool, paint: Palette): string {
  if (state === 'accepted') return paint.green('accepted');
  if (state === 'changed') return isBreaking ? paint.red('breaking') : paint.yellow('changed');
  return state === 'new' ? paint.cyan('new') : paint.dim('gone');
}

function whatText({ changes }: PinnedTool): string {
  const [first, ...others] = [...changes].sort(
    (one, other) => Number(other.isBreaking) - Number(one.isBreaking),
  );
  if (first === undefined) return '';
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return `${visible(first.path)} ${first.what}${more}`;
}

function tellDifferences(chosen: readonly PinnedTool[], out: Output, paint: Palette): void {
  for (const tool of chosen) {
    out.write(
      `${paint.bold(visible(labelOf(tool)))} ${stateText(tool, paint)} ${paint.dim(tool.digest)}`.trimEnd() +
        '\n',
    );
    for (const { path, what, isBreaking } of tool.changes)
      out.write(`  ${isBreaking ? paint.red('breaking') : paint.dim('harmless')} ${visible(path)} ${what}\n`);
    if (tool.state !== 'accepted') out.write(differenceText(tool.before, tool.after, paint));
    out.write('\n');
  }
  if (chosen.length === 0) out.write('nothing waits\n');
}

function tellAccepted({ file }: Found, chosen: readonly PinnedTool[], out: Output, paint: Palette): void {
  for (const tool of chosen) {
    const what = tool.after === undefined ? paint.dim('removed') : paint.green('accepted');
    out.write(`${what} ${visible(labelOf(tool))}\n`);
  }
  out.write(chosen.length === 0 ? 'nothing waits\n' : `${pinsFileOf(file)} is written\n`);
}
