/** Commands that look at the configuration. */

import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  DiffResponseSchema,
  GetRevisionResponseSchema,
  type HistoryRequest,
  HistoryResponseSchema,
  type RevisionSummary,
  ValidateResponseSchema,
  WaitRevisionResponseSchema,
} from '@sluice/proto/admin';
import { CheckpointSchema, keyOf, kindWord, type Resource } from '@sluice/proto/cluster';
import { AdminCallError } from '@sluice/sdk/admin';
import { EXIT } from '../exit-codes.js';
import { printable } from '../terminal.js';
import { changesText, keyLabel } from './changes-text.js';
import type { CommandNamed, OutputFormat } from './commands.js';
import { converged, tellConvergence } from './convergence.js';
import { tellFindings } from './failures.js';
import { kindNamed, resourceNamed } from './kinds.js';
import { printMessage, printResources, printTable } from './output.js';
import { age, type Surroundings, shortened } from './surroundings.js';

/** The most that the server gives at once. */
const PAGE_COUNT = 1_000;
const MAX_CELL_LENGTH = 60;

export async function get({ what, flags }: CommandNamed<'get'>, surroundings: Surroundings): Promise<number> {
  const one = what?.includes('/') ? resourceNamed(what, flags.tenant) : undefined;
  const { name, tenant: saidTenant = flags.tenant } = one ?? {};
  const kind = one?.kind ?? (what ? kindNamed(what) : 0);
  const tenant = saidTenant ?? '';
  const format: OutputFormat = flags.output ?? (name === undefined ? 'table' : 'yaml');
  const resources = await matching();
  if (name !== undefined && resources.length === 0) {
    surroundings.err.write(`sluice: there was no ${printable(`${what}`)} at revision ${flags.revision}\n`);
    return EXIT.refused;
  }
  if (format === 'json' || format === 'yaml') {
    await printResources(surroundings, format, resources);
  } else if (format === 'name') {
    surroundings.out.write(resources.map((resource) => `${nameOf(resource)}\n`).join(''));
  } else await printResourceTable(resources, surroundings);
  return EXIT.ok;

  async function matching(): Promise<Resource[]> {
    const { configuration } = surroundings.client;
    if (name !== undefined && flags.revision === 0n) {
      try {
        const { resource } = await configuration.getResource({ kind, name, tenant });
        return resource === undefined ? [] : [resource];
      } catch (error) {
        // Who says no tenant means any.
        const others = isNotFound(error) && saidTenant === undefined ? await listed() : [];
        if (others.length > 0) return others;
        throw error;
      }
    }
    return listed();
  }

  async function listed(): Promise<Resource[]> {
    const { configuration } = surroundings.client;
    const filter = [...(flags.filter ? [flags.filter] : []), ...(name === undefined ? [] : [`name=${name}`])];
    const found: Resource[] = [];
    for (let pageToken = ''; ; ) {
      const page = await configuration.listResources({
        kind,
        tenant,
        filter: filter.join(','),
        revision: flags.revision,
        pageSize: PAGE_COUNT,
        pageToken,
      });
      found.push(...page.resources);
      pageToken = page.nextPageToken;
      if (pageToken === '') return found;
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof AdminCallError && error.reason === 'NOT_FOUND';
}

function nameOf(resource: Resource): string {
  const key = keyOf(resource);
  return key === undefined ? '' : keyLabel(key);
}

async function printResourceTable(resources: readonly Resource[], surroundings: Surroundings): Promise<void> {
  const oldest = resources.reduce<bigint | undefined>(
    (least, { revision }) => (least === undefined || revision < least ? revision : least),
    undefined,
  );
  const times = oldest === undefined ? new Map() : await revisionTimes(oldest, surroundings);
  const nowMs = surroundings.nowMs();
  printTable(
    surroundings,
    ['KIND', 'TENANT', 'NAME', 'REVISION', 'AGE'],
    resources.flatMap((resource) => {
      const key = keyOf(resource);
      if (key === undefined) return [];
      const { revision, tenant } = resource;
      const changed = age(times.get(revision), nowMs);
      return [[kindWord(key.kind) ?? '', printable(tenant), printable(key.name), Number(revision), changed]];
    }),
  );
}

/** When revisions were made, by their numbers, from the newest one down to `oldest`, of those in one page. */
async function revisionTimes(oldest: bigint, { client }: Surroundings): Promise<Map<bigint, number>> {
  const times = new Map<bigint, number>();
  const { revisions } = await client.configuration.history({ pageSize: PAGE_COUNT });
  for (const { number, time } of revisions)
    if (number >= oldest && time !== undefined) times.set(number, timestampMs(time));
  return times;
}

export async function diff(
  { from, to, flags }: CommandNamed<'diff'>,
  surroundings: Surroundings,
): Promise<number> {
  const { client, out, paint, paintErr } = surroundings;
  const { output = 'table' } = flags;
  if (flags.file === undefined) {
    const response = await client.configuration.diff({ from: from ?? 0n, to: to ?? 0n });
    if (output !== 'table') await printMessage(surroundings, output, DiffResponseSchema, response);
    else out.write(changesText(response.changes, paint));
    return EXIT.ok;
  }
  const { readResources } = await import('./files.js');
  const wanted = await readResources(flags, surroundings, paintErr);
  if (wanted === undefined) return EXIT.configuration;
  const { resources, prune, locate } = wanted;
  const response = await client.configuration.validate({
    resources: [...resources],
    ...(prune && { prune }),
  });
  if (output !== 'table') await printMessage(surroundings, output, ValidateResponseSchema, response);
  else {
    out.write(changesText(response.changes, paint));
    await tellFindings(response.findings, surroundings, paintErr, locate);
  }
  return response.findings.some(({ warning }) => !warning) ? EXIT.configuration : EXIT.ok;
}

export async function history(
  { revision: number, flags }: CommandNamed<'history'>,
  surroundings: Surroundings,
): Promise<number> {
  const { client, out, paint } = surroundings;
  const { output = 'table' } = flags;
  if (number !== undefined) {
    const response = await client.configuration.getRevision({ revision: number });
    if (output !== 'table') {
      await printMessage(surroundings, output, GetRevisionResponseSchema, response);
      return EXIT.ok;
    }
    const { revision } = response;
    if (revision === undefined) return EXIT.ok;
    const time = revision.time === undefined ? '' : new Date(timestampMs(revision.time)).toISOString();
    out.write(`${paint.yellow(`revision ${revision.number}`)}  ${printable(revision.author)}  ${time}\n`);
    if (revision.message !== '') out.write(`${printable(revision.message)}\n`);
    out.write(`\n${changesText(revision.changes, paint)}`);
    return EXIT.ok;
  }
  const response = await revisionsOf(
    {
      kind: flags.kind === undefined ? 0 : kindNamed(flags.kind),
      name: flags.name ?? '',
      author: flags.author ?? '',
    },
    flags.count,
    surroundings,
  );
  if (output !== 'table') await printMessage(surroundings, output, HistoryResponseSchema, response);
  else {
    const nowMs = surroundings.nowMs();
    const rows = response.revisions.map((revision) => historyRow(revision, nowMs));
    printTable(surroundings, ['REVISION', 'AGE', 'AUTHOR', 'CHANGES', 'OF', 'MESSAGE'], rows);
  }
  return EXIT.ok;
}

async function revisionsOf(
  filter: Pick<HistoryRequest, 'kind' | 'name' | 'author'>,
  count: number,
  { client }: Surroundings,
) {
  const all = create(HistoryResponseSchema);
  do {
    const pageSize = Math.min(PAGE_COUNT, count - all.revisions.length);
    const page = await client.configuration.history({ ...filter, pageSize, pageToken: all.nextPageToken });
    all.revisions.push(...page.revisions);
    all.nextPageToken = page.nextPageToken;
    all.oldest = page.oldest;
  } while (all.nextPageToken !== '' && all.revisions.length < count);
  return all;
}

function historyRow(revision: RevisionSummary, nowMs: number) {
  const { number, time, author, created, updated, deleted, keys, restores, message } = revision;
  const counts = [
    [created, '+'],
    [updated, '~'],
    [deleted, '-'],
  ] as const;
  const said = restores === 0n ? message : [`back to ${restores}`, message].filter(Boolean).join(': ');
  return [
    Number(number),
    age(time && timestampMs(time), nowMs),
    printable(author),
    counts.flatMap(([count, sign]) => (count === 0 ? [] : [`${sign}${count}`])).join(' '),
    shortened(keys.map(keyLabel).join(', '), MAX_CELL_LENGTH),
    printable(shortened(said, MAX_CELL_LENGTH)),
  ];
}

export async function wait(
  { revision, flags }: CommandNamed<'wait'>,
  surroundings: Surroundings,
): Promise<number> {
  const convergence = await converged(surroundings, {
    revision: revision ?? 0n,
    wait: flags.for,
    deadlineMs: flags.deadline,
  });
  const { output = 'table' } = flags;
  if (output === 'table') return tellConvergence(surroundings, convergence);
  const response = create(WaitRevisionResponseSchema, { convergence });
  await printMessage(surroundings, output, WaitRevisionResponseSchema, response);
  return convergence.reached ? EXIT.ok : EXIT.behind;
}

export async function exportBackup(
  { flags }: CommandNamed<'export'>,
  surroundings: Surroundings,
): Promise<number> {
  const { checkpoint } = await surroundings.client.configuration.export({ revision: flags.revision });
  await printMessage(
    surroundings,
    flags.output ?? 'json',
    CheckpointSchema,
    checkpoint ?? create(CheckpointSchema),
  );
  return EXIT.ok;
}
