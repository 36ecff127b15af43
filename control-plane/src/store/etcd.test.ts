import { randomUUID } from 'node:crypto';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Revision } from '@sluice/proto/cluster';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { ETCD_DATA_FOLDER, type EtcdServer, NO_ETCD, startEtcd } from '../../../cli/test/servers/etcd.js';
import {
  consumer,
  Listener,
  manyConsumers,
  revisionLogCases,
  revisionOf,
  until,
} from '../../test/revision-log.cases.js';
import { EtcdLog } from './etcd.js';
import { StoreDamagedError, StoreUnavailableError } from './revision-log.js';

const base64 = (text: string) => Buffer.from(text).toString('base64');

describeUnless(NO_ETCD, 'etcd', () => {
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  revisionLogCases('etcd', async () => {
    const cluster = randomUUID();
    return {
      open: async () => new EtcdLog({ endpoints: [etcd.url], cluster }),
      dispose: async () => {},
    };
  });
});

describeUnless(NO_ETCD, 'etcd that fails', () => {
  let etcd: EtcdServer;
  let cluster: string;
  let log: EtcdLog;
  let storeId: string;
  let listener: Listener;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());
  const begin = async () => {
    cluster = randomUUID();
    log = new EtcdLog({ endpoints: [etcd.url], cluster });
    storeId = (await log.read()).checkpoint.storeId;
    listener = new Listener();
    log.watch(0, listener, storeId);
    await log.append(revisionOf(1, consumer('a')), storeId, undefined);
    await until(() => listener.heard.length === 1);
  };

  it('goes on when it was killed and started again', async () => {
    await begin();
    await etcd.kill();
    await expect(log.read()).rejects.toThrow(StoreUnavailableError);
    await expect(log.append(revisionOf(2), storeId, undefined)).rejects.toThrow(
      `etcd at ${etcd.url} cannot be used`,
    );
    await until(() => listener.reaches.length === 1);
    await etcd.restart();
    expect(await log.append(revisionOf(2), storeId, undefined)).toEqual({ appended: true });
    await until(() => listener.heard.length === 2);
    expect([listener.numbers, listener.losses]).toEqual([[1, 2], []]);
    expect(listener.reaches).toEqual([[false, expect.stringContaining('cannot be used')], [true]]);
    await log.close();
  });

  it('is unreachable while it stands still', async () => {
    await begin();
    etcd.freeze();
    try {
      await expect(log.read()).rejects.toThrow(StoreUnavailableError);
      await until(() => listener.reaches.length === 1);
    } finally {
      etcd.thaw();
    }
    await until(() => listener.reaches.length === 2);
    await log.append(revisionOf(2), storeId, undefined);
    await until(() => listener.heard.length === 2);
    expect(listener.losses).toEqual([]);
    await log.close();
  });

  it('is lost when an older state was put back', async () => {
    await begin();
    await etcd.kill();
    const data = join(etcd.folder, ETCD_DATA_FOLDER);
    await cp(data, `${data}.saved`, { recursive: true });
    await etcd.restart();
    await log.append(revisionOf(2), storeId, undefined);
    await until(() => listener.heard.length === 2);
    await etcd.kill();
    await rm(data, { recursive: true });
    await cp(`${data}.saved`, data, { recursive: true });
    await etcd.restart();
    const other = new Listener();
    log.watch(1, other, storeId);
    await log.append(revisionOf(2), storeId, undefined);
    await until(() => listener.losses.length === 1 && other.heard.length === 1);
    expect(listener.numbers).toEqual([1, 2]);
    await log.close();
  });

  it('is lost when it has the same number, and another revision', async () => {
    await begin();
    await etcd.call('kv/put', { key: base64(`/sluice/${cluster}/head`), value: base64('1/of another') });
    await until(() => listener.losses.length === 1);
    expect(listener.losses[0]).toContain('revision 1 is another than it was');
    await log.close();
  });

  it('does not mind that somebody else compacts it all the time', async () => {
    await begin();
    const other = new EtcdLog({ endpoints: [etcd.url], cluster });
    let isOver = false;
    let compactedCount = 0;
    const compacting = (async () => {
      while (!isOver) {
        const { header } = await etcd.call('kv/range', { key: base64('/') });
        await etcd.call('kv/compaction', { revision: header.revision, physical: true }).catch(() => {});
        compactedCount += 1;
      }
    })();
    const reading = (async () => {
      while (!isOver) await other.read();
    })();
    const large = manyConsumers();
    for (let number = 2; number <= 12; number++) {
      const revision =
        number % 4 === 0 ? revisionOf(number, ...large) : revisionOf(number, consumer(`c${number}`));
      expect(await log.append(revision, storeId, undefined)).toEqual({ appended: true });
    }
    await until(() => listener.heard.length === 12);
    isOver = true;
    await Promise.all([compacting, reading]);
    expect(compactedCount).toBeGreaterThan(5);
    expect(listener.losses).toEqual([]);
    expect((await other.read()).revisions).toHaveLength(12);
    await log.close();
    await other.close();
  });

  it('is lost when it was wiped', async () => {
    await begin();
    await etcd.call('kv/deleterange', { key: base64('/'), range_end: base64('0') });
    await until(() => listener.losses.length === 1);
    expect((await log.read()).checkpoint.storeId).not.toBe(storeId);
    await log.close();
  });

  it('is damaged when it holds less than it must', async () => {
    await begin();
    await etcd.call('kv/deleterange', { key: base64(`/sluice/${cluster}/revision/0000000000000001`) });
    await expect(log.read()).rejects.toThrow('the revisions from 0 to 1 are not all there');
    await etcd.call('kv/deleterange', { key: base64(`/sluice/${cluster}/head`) });
    await expect(log.read()).rejects.toThrow(StoreDamagedError);
    await log.close();
  });

  it('takes one of two writers whose revisions are large, and keeps nothing of the other', async () => {
    await begin();
    const other = new EtcdLog({ endpoints: [etcd.url], cluster });
    const attempts = [manyConsumers(9_000), manyConsumers(10_000)].map((each) => revisionOf(2, ...each));
    const outcomes = await Promise.all(
      [log, other].map((writer, index) => writer.append(attempts[index] as Revision, storeId, undefined)),
    );
    const winner = outcomes.findIndex(({ appended }) => appended);
    expect(outcomes[1 - winner]).toEqual({ appended: false, head: 2 });
    await until(() => listener.heard.length === 2);
    expect(listener.heard[1]?.changes.length).toBe(attempts[winner]?.changes.length);
    const chunks = {
      key: base64(`/sluice/${cluster}/chunk/`),
      range_end: base64(`/sluice/${cluster}/chunk0`),
    };
    const { kvs } = await etcd.call('kv/range', { ...chunks, keys_only: true });
    const groups = (kvs as { key: string }[]).map(
      ({ key }) => Buffer.from(key, 'base64').toString().split('/')[4],
    );
    expect(new Set(groups).size).toBe(1);
    await other.close();
    await log.close();
  });

  it('is rid of chunks that nobody names', async () => {
    await begin();
    const names = async () => {
      const range = { key: base64(`/sluice/${cluster}/`), range_end: base64(`/sluice/${cluster}0`) };
      const { kvs } = await etcd.call('kv/range', { ...range, keys_only: true });
      return (kvs as { key: string }[]).map(({ key }) => Buffer.from(key, 'base64').toString().split('/')[3]);
    };
    const orphan = `/sluice/${cluster}/chunk/revision.0000000000000002.${randomUUID()}/000000`;
    await etcd.call('kv/put', { key: base64(orphan), value: base64('left') });
    await log.append(revisionOf(2, ...manyConsumers()), storeId, undefined);
    expect((await etcd.call('kv/range', { key: base64(orphan) })).kvs).toBeUndefined();
    expect(await names()).toContain('chunk');
    expect(await names()).not.toContain('upload');
    expect((await log.read()).revisions[1]?.changes).toHaveLength(10_000);
    await log.close();
  });
});

describeUnless(NO_ETCD, 'etcd with TLS and a password', () => {
  it('is used with the certificate', async () => {
    const etcd = await startEtcd({ tls: true });
    const { cert, key } = etcd.certificate as { cert: string; key: string };
    const tls = { ca: Buffer.from(cert), cert: Buffer.from(cert), key: Buffer.from(key) };
    const log = new EtcdLog({ endpoints: [etcd.url], cluster: 'default', tls });
    const { storeId } = (await log.read()).checkpoint;
    expect(await log.append(revisionOf(1), storeId, undefined)).toEqual({ appended: true });
    await log.close();
    const stranger = new EtcdLog({ endpoints: [etcd.url], cluster: 'default', tls: { ca: tls.ca } });
    await expect(stranger.read()).rejects.toThrow(StoreUnavailableError);
    await stranger.close();
    await etcd.close();
  });

  it('is used with the password, and logs in again when etcd forgot it', async () => {
    const etcd = await startEtcd({ auth: { password: 'of the root' } });
    const place = { endpoints: [etcd.url], cluster: 'default' };
    const log = new EtcdLog({ ...place, auth: { user: 'root', password: 'of the root' } });
    const { storeId } = (await log.read()).checkpoint;
    const listener = new Listener();
    log.watch(0, listener, storeId);
    await log.append(revisionOf(1), storeId, undefined);
    await until(() => listener.heard.length === 1);
    await etcd.restart();
    expect(await log.append(revisionOf(2), storeId, undefined)).toEqual({ appended: true });
    await until(() => listener.heard.length === 2);
    await log.close();
    for (const auth of [undefined, { user: 'root', password: 'guessed' }]) {
      const stranger = new EtcdLog({ ...place, ...(auth && { auth }) });
      const refusal = await stranger.read().catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(StoreUnavailableError);
      expect(String(refusal)).not.toContain('guessed');
      await stranger.close();
    }
    await etcd.close();
  });
});
