import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeUnless } from '../../../cli/test/servers/describe-unless.js';
import { type EtcdServer, NO_ETCD, startEtcd } from '../../../cli/test/servers/etcd.js';
import { recordsCases } from '../../test/records.cases.js';
import { until } from '../../test/revision-log.cases.js';
import { EtcdLog } from './etcd.js';
import { EtcdRecords } from './etcd-records.js';
import { StoreUnavailableError } from './revision-log.js';

describeUnless(NO_ETCD, 'etcd', () => {
  let etcd: EtcdServer;
  beforeAll(async () => {
    etcd = await startEtcd();
  });
  afterAll(() => etcd.close());

  recordsCases('etcd', async () => {
    const cluster = randomUUID();
    return {
      open: async () => new EtcdRecords({ endpoints: [etcd.url], cluster }),
      dispose: async () => {},
    };
  });

  it('keeps records beside revisions, and gives many of them', async () => {
    const place = { endpoints: [etcd.url], cluster: randomUUID() };
    const [log, records] = [new EtcdLog(place), new EtcdRecords(place)];
    for (let index = 0; index < 100; index++)
      await records.put('nodes', `node-${index}`, new Uint8Array(9), { expected: 'absent' });
    expect((await log.read()).revisions).toEqual([]);
    expect(await records.list('nodes')).toHaveLength(100);
    await log.close();
    await records.close();
  });

  it('tells what became of records while etcd was away', async () => {
    const place = { endpoints: [etcd.url], cluster: randomUUID() };
    const records = new EtcdRecords(place);
    const told: number[] = [];
    const reaches: boolean[] = [];
    records.watch('nodes', {
      records: ({ length }) => told.push(length),
      reachable: (isReachable) => reaches.push(isReachable),
    });
    await until(() => told.length === 1);
    await etcd.kill();
    await until(() => reaches.length === 1);
    await expect(records.list('nodes')).rejects.toThrow(StoreUnavailableError);
    await etcd.restart();
    const other = new EtcdRecords(place);
    await other.put('nodes', 'a', new Uint8Array(1), { expected: 'absent' });
    await until(() => told.length === 2 && reaches.length === 2);
    expect([told, reaches]).toEqual([
      [0, 1],
      [false, true],
    ]);
    await records.close();
    await other.close();
  });
});
