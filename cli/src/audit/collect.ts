/** `sluice audit collect`: writes what the nodes of a cluster record. */
import {
  AuditFile,
  CHECKPOINT_DEFAULTS,
  keyFileOf,
  receivedBatch,
  retain,
  signingKey,
} from '@sluice/plugins/audit';
import { durationMs, sizeBytes } from '@sluice/sdk';
import { EXIT } from '../exit-codes.js';
import { openLog } from '../log.js';
import type { NodeFlags } from '../node-flags.js';
import { sharedKey, sharingOf } from '../node-sharing.js';
import { WrongUsage } from '../unusable.js';
import type { CollectFlags } from './audit-command-line.js';
import { AGE } from './flags.js';

const RETENTION_INTERVAL_MS = 60_000;

/** Resolves when it was told to stop. */
export async function collect(flags: CollectFlags): Promise<number> {
  const retention = retentionOf(flags);
  const key = sharedKey(flags as unknown as NodeFlags);
  const sharing = sharingOf(flags as unknown as NodeFlags, key);
  if (sharing === undefined) throw new WrongUsage('--nats is missing');
  const { file } = flags;
  const audit = new AuditFile({
    file,
    key: signingKey(flags.key ?? keyFileOf(file)),
    now: () => Date.now(),
    checkpoint: CHECKPOINT_DEFAULTS,
  });
  const { log, flush } = openLog('info', 'json', () => undefined);
  const { collectRecords } = await import('@sluice/data-plane/node');
  const collecting = await collectRecords({
    nats: sharing.nats,
    cluster: sharing.cluster,
    key,
    log,
    take: ({ node, batch }) => void audit.append(recordsOf(node, batch, log)),
  });
  const retaining = setInterval(() => {
    try {
      retain(audit, retention, Date.now());
    } catch (thrown) {
      log.error({ err: thrown }, 'old records cannot be removed');
    }
  }, RETENTION_INTERVAL_MS);
  log.info({ file, cluster: sharing.cluster }, 'collecting audit records');
  await told();
  clearInterval(retaining);
  await collecting.close();
  audit.end();
  await flush();
  return EXIT.ok;
}

/** What is no batch would come again for ever. */
function recordsOf(node: string, batch: string, log: { error(fields: object, message: string): void }) {
  try {
    return receivedBatch(batch, node);
  } catch (thrown) {
    log.error({ err: thrown, node }, 'a batch that holds no records was left out');
    return [];
  }
}

function told(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

const SIZE = /^[1-9][0-9]{0,9}(?:\.[0-9]{1,9})? ?(?:[kK][bB]|[MG]B|[KMG]iB|B)?$/;

function retentionOf({ maxAge, maxSize }: CollectFlags) {
  if (maxAge !== undefined && !AGE.test(maxAge))
    throw new WrongUsage(`--max-age ${maxAge}: say an age such as 400d`);
  if (maxSize !== undefined && !SIZE.test(maxSize))
    throw new WrongUsage(`--max-size ${maxSize}: say a size such as 4GiB`);
  return {
    maxAgeMs: maxAge === undefined ? undefined : durationMs(maxAge),
    maxBytes: maxSize === undefined ? undefined : sizeBytes(maxSize, Number.MAX_SAFE_INTEGER),
  };
}
