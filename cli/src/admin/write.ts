/** Commands that change the configuration. All of them say what became of the change, and wait in the same way. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { create, fromJson, type JsonValue, type MessageInitShape } from '@bufbuild/protobuf';
import { type WriteOptionsSchema, type WriteResponse, WriteResponseSchema } from '@sluice/proto/admin';
import { type Checkpoint, CheckpointSchema, keyOf, ResourceKeySchema } from '@sluice/proto/cluster';
import { EXIT } from '../exit-codes.js';
import { changesCount, changesSummary, changesText } from './changes-text.js';
import type { CommandNamed, OutputFlags, WriteFlags } from './commands.js';
import { converged, tellConvergence } from './convergence.js';
import { type Locate, tellFailure, tellFindings } from './failures.js';
import { textOf } from './input.js';
import { resourceNamed } from './kinds.js';
import { printMessage } from './output.js';
import { exitCodeOf, followed, rolloutPlan, tellRollout } from './rollout.js';
import { type Surroundings, UsageError } from './surroundings.js';

/** As the server takes it. */
const MAX_BACKUP_BYTES = 32 * 1024 * 1024;

export async function apply({ flags }: CommandNamed<'apply'>, surroundings: Surroundings): Promise<number> {
  const { readResources } = await import('./files.js');
  const wanted = await readResources(flags, surroundings, surroundings.paintErr);
  if (wanted === undefined) return EXIT.configuration;
  const { prune, locate } = wanted;
  const resources = [...wanted.resources];
  const { configuration } = surroundings.client;
  if (flags.dryRun && (flags.output ?? 'table') === 'table') {
    // A refusal does not say what it would change.
    const { changes, findings } = await configuration.validate({ resources, ...(prune && { prune }) });
    if (findings.some(({ warning }) => !warning))
      surroundings.out.write(changesText(changes, surroundings.paint));
  }
  return written(
    surroundings,
    flags,
    (options) =>
      configuration.apply({
        resources,
        options,
        ...(prune && { prune }),
      }),
    locate,
  );
}

export async function remove(
  { resources: named, flags }: CommandNamed<'delete'>,
  surroundings: Surroundings,
): Promise<number> {
  const keys = named.map((text) => {
    const { kind, name, tenant = '' } = resourceNamed(text, flags.tenant);
    return create(ResourceKeySchema, { kind, tenant, name });
  });
  let locate: Locate | undefined;
  if (flags.file !== undefined) {
    const { readResources } = await import('./files.js');
    const { file, tenant } = flags;
    const wanted = await readResources(
      { file, ...(tenant && { tenant }) },
      surroundings,
      surroundings.paintErr,
    );
    if (wanted === undefined) return EXIT.configuration;
    keys.push(...wanted.resources.flatMap((resource) => keyOf(resource) ?? []));
    locate = wanted.locate;
  }
  return written(
    surroundings,
    flags,
    (options) => surroundings.client.configuration.apply({ remove: keys, options }),
    locate,
  );
}

export function rollback(
  { revision, flags }: CommandNamed<'rollback'>,
  surroundings: Surroundings,
): Promise<number> {
  return written(surroundings, flags, (options) =>
    surroundings.client.configuration.rollback({ revision, options }),
  );
}

export async function importBackup(
  { file, flags }: CommandNamed<'import'>,
  surroundings: Surroundings,
): Promise<number> {
  const text = file === '-' ? await textOf(surroundings.input, MAX_BACKUP_BYTES) : await readBackup(file);
  const checkpoint = await parseBackup(text);
  return written(surroundings, flags, (options) =>
    surroundings.client.configuration.import({ checkpoint, options }),
  );
}

async function readBackup(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${file} cannot be read: ${error.message}`);
  });
}

async function parseBackup(text: string): Promise<Checkpoint> {
  try {
    if (/^\s*\{/.test(text)) return fromJson(CheckpointSchema, JSON.parse(text) as JsonValue);
    const { parseYamlValue } = await import('@sluice/control-plane');
    return fromJson(CheckpointSchema, parseYamlValue(text) as JsonValue);
  } catch (error) {
    throw new UsageError(`this is no backup: ${(error as Error).message}`);
  }
}

type Write = (options: MessageInitShape<typeof WriteOptionsSchema>) => Promise<WriteResponse>;

async function written(
  surroundings: Surroundings,
  flags: WriteFlags & OutputFlags,
  write: Write,
  locate?: Locate,
): Promise<number> {
  const { out, paint, paintErr } = surroundings;
  const { dryRun = false, message = '', expectRevision = 0n, idempotencyKey = randomUUID() } = flags;
  const rollout = rolloutPlan(flags);
  let response: WriteResponse;
  try {
    response = await write({
      message,
      dryRun,
      expectedRevision: expectRevision,
      idempotencyKey,
      ...(rollout && { rollout }),
    });
  } catch (error) {
    return tellFailure(error, surroundings, paintErr, locate);
  }
  const { revision, changes, warnings } = response;
  await tellFindings(warnings, surroundings, paintErr, locate);
  const isText = flags.output === undefined || flags.output === 'table';
  if (isText) {
    out.write(dryRun ? changesText(changes, paint) : changesSummary(changes, paint));
    out.write(`${outcomeText(response, dryRun, rollout !== undefined)}\n`);
  }
  const waits = !dryRun && flags.wait !== undefined && flags.wait !== 'none';
  const held =
    waits && rollout !== undefined && changes.length > 0
      ? await followed(surroundings, revision, flags.deadline)
      : undefined;
  const convergence =
    waits && held === undefined
      ? await converged(surroundings, { revision, wait: flags.wait ?? 'all', deadlineMs: flags.deadline })
      : undefined;
  if (isText) {
    if (held !== undefined) return tellRollout(surroundings, held);
    return convergence === undefined ? EXIT.ok : tellConvergence(surroundings, convergence);
  }
  if (convergence !== undefined) response.convergence = convergence;
  await printMessage(surroundings, flags.output ?? 'json', WriteResponseSchema, response);
  if (held !== undefined) return exitCodeOf(held);
  return convergence?.reached === false ? EXIT.behind : EXIT.ok;
}

function outcomeText({ revision, changes }: WriteResponse, dryRun: boolean, inSteps: boolean): string {
  if (changes.length === 0) return `nothing to change; revision ${revision} holds`;
  const counts = changesCount(changes);
  if (dryRun) return `${counts} (dry run, nothing was changed)`;
  return `revision ${revision} ${inSteps ? 'comes to the nodes in steps' : 'holds'}: ${counts}`;
}
