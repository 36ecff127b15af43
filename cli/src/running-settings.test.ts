import { loadConfigurationWithoutFile } from '@sluice/control-plane';
import { type Configuration, resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { withChosenPorts, withRunningSettings } from './running-settings.js';

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
    SLUICE_LIMITS_MAX_URL_BYTES: '8KiB',
    SLUICE_LIMITS_MAX_CONNECTIONS: '50',
    SLUICE_SESSIONS_IDLE_TIMEOUT: '5m',
  });
  const { configuration, waiting } = withRunningSettings(changed, running);
  expect(waiting).toEqual([
    'gateway.listen.port',
    'gateway.listen.workers',
    'gateway.limits.max_url_bytes',
    'gateway.metrics',
    'gateway.health',
  ]);
  const { listen, limits, metrics, health, naming, sessions } = configuration.gateway;
  expect(listen).toEqual({ ...running.gateway.listen, allowedHosts: ['gateway.example'] });
  expect(limits).toEqual({ ...running.gateway.limits, maxConnectionCount: 50 });
  expect(sessions.idleTimeoutMs).toBe(300_000);
  expect([metrics, health, naming.separator]).toEqual([undefined, running.gateway.health, ':']);
});

test('a port that the system may choose is no change', () => {
  const free = configure({ SLUICE_LISTEN_PORT: '0', SLUICE_METRICS_PORT: '0' });
  const running = withChosenPorts(free, { url: 'http://127.0.0.1:1', metricsUrl: 'http://127.0.0.1:2' });
  const { configuration, waiting } = withRunningSettings(free, running);
  expect(waiting).toEqual([]);
  expect(JSON.stringify(configuration)).toBe(JSON.stringify(running));
});

const TOKENS = { one: 'one-'.repeat(10), other: 'other-'.repeat(10) };

test('the admin API takes another token at once', () => {
  const running = configure({ SLUICE_ADMIN_PORT: '9092', SLUICE_ADMIN_TOKEN: TOKENS.one });
  const changed = configure({ SLUICE_ADMIN_PORT: '9092', SLUICE_ADMIN_TOKEN: TOKENS.other });
  const { configuration, waiting } = withRunningSettings(changed, running);
  expect([configuration.gateway.admin, waiting]).toEqual([changed.gateway.admin, []]);
});

test.each([
  ['leaves it out for another address', { SLUICE_ADMIN_HOST: '127.0.0.1', SLUICE_ADMIN_PORT: '9092' }],
  ['has another for another port', { SLUICE_ADMIN_PORT: '9093', SLUICE_ADMIN_TOKEN: TOKENS.other }],
  ['has no admin API', {}],
])('the admin API keeps its address and token when the change %s', (_, environment) => {
  const running = configure({
    SLUICE_ADMIN_HOST: '0.0.0.0',
    SLUICE_ADMIN_PORT: '9092',
    SLUICE_ADMIN_TOKEN: TOKENS.one,
  });
  const { configuration, waiting } = withRunningSettings(configure(environment), running);
  expect([configuration.gateway.admin, waiting]).toEqual([running.gateway.admin, ['gateway.admin']]);
});

test('a port that the system chose for the admin API is kept', () => {
  const free = configure({ SLUICE_ADMIN_PORT: '0' });
  const running = withChosenPorts(free, { url: 'http://127.0.0.1:1', adminUrl: 'http://127.0.0.1:40003' });
  expect(running.gateway.admin?.port).toBe(40003);
  expect(withRunningSettings(free, running).waiting).toEqual([]);
});
