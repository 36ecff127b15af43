// @ts-check
// A writer in a process of its own, which is killed while it adds a revision. Its arguments: the kind of store, where it
// is, and its cluster.
import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { create, RevisionSchema } from '@sluice/proto/cluster';

/** The largest that is taken, but for what stands around it. */
const TEXT_BYTES = 64 * 1024 * 1024 - 1024;

const [kind, place, cluster] = /** @type {[string, string, string]} */ (process.argv.slice(2));
const { EmbeddedLog } = await import('../dist/store/embedded.js');
const { EtcdLog } = await import('../dist/store/etcd.js');
const log = kind === 'embedded' ? EmbeddedLog.open(place) : new EtcdLog({ endpoints: [place], cluster });
const { checkpoint, revisions } = await log.read();
const revision = create(RevisionSchema, {
  number: checkpoint.revision + BigInt(revisions.length) + 1n,
  id: randomUUID(),
  author: 'somebody',
  message: 'x'.repeat(TEXT_BYTES),
});
// At once, for the event loop stands still while SQLite writes.
writeSync(1, 'begins\n');
await log.append(revision, checkpoint.storeId, revisions.at(-1)?.id);
writeSync(1, 'done\n');
await log.close();
