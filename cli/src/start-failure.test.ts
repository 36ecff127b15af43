import { loadConfigurationWithoutFile } from '@sluice/control-plane';
import { type Configuration, resolveConfiguration } from '@sluice/proto';
import { expect, test } from 'vitest';
import { EXIT } from './exit-codes.js';
import { explainStartFailure } from './start-failure.js';

const environment = { SLUICE_LISTEN_PORT: '8080' };
const configuration = resolveConfiguration(
  loadConfigurationWithoutFile({ environment }).configuration as Configuration,
);

test('a taken port is named, however deep the cause lies', () => {
  const cause = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' });
  const { exitCode, explanation } = explainStartFailure(new Error('worker failed', { cause }), configuration);
  expect(exitCode).toBe(EXIT.address);
  expect(explanation).toBe(
    'cannot listen on 127.0.0.1:8080: something listens there already; stop it, or choose another port with --port',
  );
});

test('the address of the error wins: it may be that of the metrics', () => {
  const error = Object.assign(new Error(), { code: 'EACCES', address: '127.0.0.1', port: 80 });
  expect(explainStartFailure(error, configuration).explanation).toMatch(/^cannot listen on 127.0.0.1:80: /);
});

test('a certificate that cannot be used is a fault of the configuration', () => {
  const cause = Object.assign(new Error('The key file a cannot be read'), { code: 'CERTIFICATE_UNUSABLE' });
  const { exitCode, explanation } = explainStartFailure(new Error('worker failed', { cause }), configuration);
  expect([exitCode, explanation]).toEqual([EXIT.configuration, 'The key file a cannot be read']);
});

test('anything else is unexpected and says its message', () => {
  const { exitCode, explanation } = explainStartFailure(new Error('no memory'), configuration);
  expect([exitCode, explanation]).toEqual([EXIT.unexpected, 'no memory']);
});
