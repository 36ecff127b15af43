import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ConfigurationSchema, type GatewaySchema, resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { withChosenPorts, withRunningAddresses } from './running-addresses.js';

const configure = (gateway: MessageInitShape<typeof GatewaySchema>) =>
  resolveConfiguration(create(ConfigurationSchema, { gateway }));

test('a port that the system chose is kept, one that was given stays', () => {
  const { gateway } = withChosenPorts(
    configure({ listen: { port: 0 }, metrics: { port: 0 }, health: { port: 9091 } }),
    {
      url: 'http://127.0.0.1:40001',
      metricsUrl: 'http://127.0.0.1:40002',
      healthUrl: 'http://127.0.0.1:9091',
    },
  );
  expect([gateway.listen.port, gateway.metrics?.port, gateway.health?.port]).toEqual([40001, 40002, 9091]);
});

test('a change of where to listen waits, the rest is taken', () => {
  const running = configure({ listen: { port: 8080 }, health: { port: 9091 } });
  const { configuration, waiting } = withRunningAddresses(
    configure({
      listen: { port: 9000, workers: 2, allowedHosts: ['gateway.example'] },
      metrics: { port: 9090 },
    }),
    running,
  );
  expect(waiting).toEqual(['listen.port', 'listen.workers', 'metrics', 'health']);
  expect(configuration.gateway.listen).toEqual({
    ...running.gateway.listen,
    allowedHosts: ['gateway.example'],
  });
  expect([configuration.gateway.metrics, configuration.gateway.health?.port]).toEqual([undefined, 9091]);
});

test('a port that the system may choose is no change', () => {
  const free = configure({ listen: { port: 0 }, metrics: { port: 0 } });
  const running = withChosenPorts(free, { url: 'http://127.0.0.1:1', metricsUrl: 'http://127.0.0.1:2' });
  const { configuration, waiting } = withRunningAddresses(free, running);
  expect(waiting).toEqual([]);
  expect(JSON.stringify(configuration)).toBe(JSON.stringify(running));
});
