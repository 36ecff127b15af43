import { create } from '@bufbuild/protobuf';
import { ConfigurationSchema, resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { keepAddresses } from './kept-addresses.js';

test('a port that the system chose is kept, one that was given stays', () => {
  const configuration = resolveConfiguration(
    create(ConfigurationSchema, {
      gateway: { listen: { port: 0 }, metrics: { port: 0 }, health: { port: 9091 } },
    }),
  );
  const { gateway } = keepAddresses(configuration, {
    url: 'http://127.0.0.1:40001',
    metricsUrl: 'http://127.0.0.1:40002',
    healthUrl: 'http://127.0.0.1:9091',
  });
  expect([gateway.listen.port, gateway.metrics?.port, gateway.health?.port]).toEqual([40001, 40002, 9091]);
});
