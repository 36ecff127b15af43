import { loadConfigurationWithoutFile } from '@sluice/control-plane';
import { type Configuration, resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { withChosenPorts, withRunningAddresses } from './running-addresses.js';

function configure(environment: Record<string, string>) {
  return resolveConfiguration(loadConfigurationWithoutFile({ environment }).configuration as Configuration);
}

test('a port that the system chose is kept, one that was given stays', () => {
  const { gateway } = withChosenPorts(
    configure({ SLUICE_LISTEN_PORT: '0', SLUICE_METRICS_PORT: '0', SLUICE_HEALTH_PORT: '9091' }),
    {
      url: 'http://127.0.0.1:40001',
      metricsUrl: 'http://127.0.0.1:40002',
      healthUrl: 'http://127.0.0.1:9091',
    },
  );
  expect([gateway.listen.port, gateway.metrics?.port, gateway.health?.port]).toEqual([40001, 40002, 9091]);
});

test('a change of where to listen waits, the rest is taken', () => {
  const running = configure({ SLUICE_LISTEN_PORT: '8080', SLUICE_HEALTH_PORT: '9091' });
  const changed = configure({
    SLUICE_LISTEN_PORT: '9000',
    SLUICE_LISTEN_WORKERS: '2',
    SLUICE_LISTEN_ALLOWED_HOSTS: 'gateway.example',
    SLUICE_METRICS_PORT: '9090',
    SLUICE_NAMING_SEPARATOR: ':',
  });
  const { configuration, waiting } = withRunningAddresses(changed, running);
  expect(waiting).toEqual(['listen.port', 'listen.workerCount', 'metrics', 'health']);
  const { listen, metrics, health, naming } = configuration.gateway;
  expect(listen).toEqual({ ...running.gateway.listen, allowedHosts: ['gateway.example'] });
  expect([metrics, health, naming.separator]).toEqual([undefined, running.gateway.health, ':']);
});

test('a port that the system may choose is no change', () => {
  const free = configure({ SLUICE_LISTEN_PORT: '0', SLUICE_METRICS_PORT: '0' });
  const running = withChosenPorts(free, { url: 'http://127.0.0.1:1', metricsUrl: 'http://127.0.0.1:2' });
  const { configuration, waiting } = withRunningAddresses(free, running);
  expect(waiting).toEqual([]);
  expect(JSON.stringify(configuration)).toBe(JSON.stringify(running));
});
