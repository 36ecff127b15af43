import { create, fromJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { GATEWAY_DEFAULTS, UPSTREAM_DEFAULTS } from './defaults.js';
import { ConfigurationSchema } from './gen/sluice/config/v1/config_pb.js';
import { resolveConfiguration } from './resolved.js';
import { GATEWAY_SETTINGS, UPSTREAM_SETTINGS } from './settings.js';

describe('resolveConfiguration', () => {
  it('fills every default into an empty configuration', () => {
    const { gateway, upstreams } = resolveConfiguration(create(ConfigurationSchema));
    expect(upstreams).toEqual([]);
    expect(gateway).toEqual({
      listen: {
        host: '127.0.0.1',
        port: 8080,
        workerCount: 1,
        listener: 'auto',
        allowedHosts: [],
        allowedOrigins: [],
        insecure: false,
        sharePort: false,
      },
      limits: {
        maxBodyBytes: 4_194_304,
        maxHeaderBytes: 16_384,
        maxUrlBytes: 4096,
        bodyTimeoutMs: 10_000,
        maxConnectionCount: 10_000,
        maxRequestsInFlightCount: 10_000,
        maxPendingReplyBytes: 8_388_608,
        maxBufferedBytes: 268_435_456,
      },
      naming: { separator: '__', mode: 'always', maxNameLength: 64 },
      discovery: { intervalMs: 60_000, deadlineMs: 5000, pageSizeCount: 1000 },
      sessions: {
        idleTimeoutMs: 1_800_000,
        maxSessionCount: 10_000,
        replayMessageCount: 256,
        replayBytes: 1_048_576,
        keepAliveMs: 15_000,
        maxSessionPerPrincipalCount: 10_000,
        maxParkedCallCount: 1000,
        maxParkedCallPerPrincipalCount: 250,
        maxParkedBytes: 67_108_864,
        parkedCallLifetimeMs: 600_000,
        keys: [],
      },
      egress: { deny: ['169.254.0.0/16', 'fe80::/10'], allow: [] },
      log: { level: 'info' },
      shutdownGraceMs: 10_000,
    });
  });

  it('carries every setting that is given', () => {
    const resolved = resolveConfiguration(
      fromJson(ConfigurationSchema, {
        gateway: {
          listen: {
            host: '::1',
            port: 0,
            workers: 3,
            listener: 'LISTENER_KIND_NODE',
            tls: { certFile: '/c', keyFile: '/k' },
            allowedHosts: ['h'],
            allowedOrigins: ['https://o'],
            insecure: true,
            sharePort: true,
          },
          metrics: { port: 9090 },
          health: { host: '::', port: 9091 },
          limits: {
            maxBodyBytes: 1,
            maxHeaderBytes: 2,
            maxUrlBytes: 3,
            bodyTimeout: '0.5s',
            maxConnections: 4,
            maxRequestsInFlight: 5,
            maxPendingReplyBytes: 6,
            maxBufferedBytes: 9,
          },
          naming: { separator: ':', mode: 'NAMING_MODE_WHEN_NEEDED', maxNameLength: 30 },
          discovery: { interval: '7s', deadline: '1.25s', pageSize: 8 },
          sessions: {
            idleTimeout: '9s',
            maxSessions: 10,
            replayMessages: 11,
            replayBytes: 12,
            keepAlive: '13s',
            maxSessionsPerPrincipal: 14,
            maxParkedCalls: 15,
            maxParkedCallsPerPrincipal: 16,
            maxParkedBytes: 17,
            parkedCallLifetime: '18s',
          },
          egress: { deny: ['10.0.0.0/8'], allow: ['10.1.0.0/16'] },
          log: { level: 'debug', format: 'json' },
          defaultUpstream: 'a',
          shutdownGrace: '0s',
        },
      }),
    );
    expect(resolved.gateway).toEqual({
      listen: {
        host: '::1',
        port: 0,
        workerCount: 3,
        listener: 'node',
        tls: { certFile: '/c', keyFile: '/k' },
        allowedHosts: ['h'],
        allowedOrigins: ['https://o'],
        insecure: true,
        sharePort: true,
      },
      metrics: { host: '127.0.0.1', port: 9090 },
      health: { host: '::', port: 9091 },
      limits: {
        maxBodyBytes: 1,
        maxHeaderBytes: 2,
        maxUrlBytes: 3,
        bodyTimeoutMs: 500,
        maxConnectionCount: 4,
        maxRequestsInFlightCount: 5,
        maxPendingReplyBytes: 6,
        maxBufferedBytes: 9,
      },
      naming: { separator: ':', mode: 'when_needed', maxNameLength: 30 },
      discovery: { intervalMs: 7000, deadlineMs: 1250, pageSizeCount: 8 },
      sessions: {
        idleTimeoutMs: 9000,
        maxSessionCount: 10,
        replayMessageCount: 11,
        replayBytes: 12,
        keepAliveMs: 13_000,
        maxSessionPerPrincipalCount: 14,
        maxParkedCallCount: 15,
        maxParkedCallPerPrincipalCount: 16,
        maxParkedBytes: 17,
        parkedCallLifetimeMs: 18_000,
        keys: [],
      },
      egress: { deny: ['10.0.0.0/8'], allow: ['10.1.0.0/16'] },
      log: { level: 'debug', format: 'json' },
      defaultUpstream: 'a',
      shutdownGraceMs: 0,
    });
  });

  it('resolves upstreams of every transport and leaves disabled ones out', () => {
    const { upstreams } = resolveConfiguration(
      fromJson(ConfigurationSchema, {
        upstreams: [
          { name: 'web', http: { url: 'https://h/mcp', headers: { A: 'b' }, maxConnections: 2 } },
          {
            name: 'sub',
            id: 'original',
            era: 'ERA_LEGACY',
            timeout: '2s',
            connectTimeout: '3s',
            maxMessageBytes: 4,
            hidden: true,
            onSessionLoss: 'SESSION_LOSS_END',
            stdio: {
              command: 'c',
              args: ['x'],
              env: { E: 'f' },
              cwd: '/w',
              sharing: 'STDIO_SHARING_PER_SESSION',
              maxProcesses: 5,
            },
          },
          { name: 'plain', stdio: { command: 'c' } },
          { name: 'old', sse: { url: 'https://h/sse', headers: { A: 'b' } } },
          { name: 'socket', websocket: { url: 'wss://h/', headers: { A: 'b' }, maxConnections: 6 } },
          { name: 'off', disabled: true },
        ],
      }),
    );
    expect(upstreams).toEqual([
      {
        id: 'web',
        name: 'web',
        era: 'auto',
        timeoutMs: 60_000,
        connectTimeoutMs: 10_000,
        maxMessageBytes: 33_554_432,
        hidden: false,
        onSessionLoss: 'reinitialize',
        transport: { kind: 'http', url: 'https://h/mcp', headers: { A: 'b' }, maxConnectionCount: 2 },
      },
      {
        id: 'original',
        name: 'sub',
        era: 'legacy',
        timeoutMs: 2000,
        connectTimeoutMs: 3000,
        maxMessageBytes: 4,
        hidden: true,
        onSessionLoss: 'end',
        transport: {
          kind: 'stdio',
          command: 'c',
          args: ['x'],
          env: { E: 'f' },
          cwd: '/w',
          sharing: 'per_session',
          maxProcessCount: 5,
        },
      },
      expect.objectContaining({
        transport: {
          kind: 'stdio',
          command: 'c',
          args: [],
          env: {},
          cwd: '',
          sharing: 'shared',
          maxProcessCount: 64,
        },
      }),
      expect.objectContaining({ transport: { kind: 'sse', url: 'https://h/sse', headers: { A: 'b' } } }),
      expect.objectContaining({
        transport: { kind: 'websocket', url: 'wss://h/', headers: { A: 'b' }, maxConnectionCount: 6 },
      }),
    ]);
  });

  it('is frozen all the way down, and shares nothing with the message', () => {
    const configuration = fromJson(ConfigurationSchema, {
      gateway: { listen: { allowedHosts: ['a'] } },
      upstreams: [{ name: 'web', http: { url: 'https://h/', headers: { A: 'b' } } }],
    });
    const resolved = resolveConfiguration(configuration);
    const pending: unknown[] = [resolved];
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      if (typeof value !== 'object' || value === null) continue;
      expect(Object.isFrozen(value)).toBe(true);
      pending.push(...Object.values(value));
    }
    configuration.gateway?.listen?.allowedHosts.push('b');
    expect(resolved.gateway.listen.allowedHosts).toEqual(['a']);
    expect(Object.isFrozen(GATEWAY_DEFAULTS['egress.deny'])).toBe(false);
  });

  it('says so when validation was left out', () => {
    const configuration = fromJson(ConfigurationSchema, { upstreams: [{ name: 'none' }] });
    expect(() => resolveConfiguration(configuration)).toThrow(/none has no transport/);
  });
});

describe('settings', () => {
  it('hold every entry of the tables of defaults and ranges', () => {
    const paths = (settings: typeof GATEWAY_SETTINGS) =>
      settings.filter((setting) => setting.default !== undefined).map(({ path }) => path);
    expect(paths(GATEWAY_SETTINGS).sort()).toEqual(Object.keys(GATEWAY_DEFAULTS).sort());
    expect(paths(UPSTREAM_SETTINGS).sort()).toEqual(Object.keys(UPSTREAM_DEFAULTS).sort());
  });

  it('have a range for every number, size and duration, and the default lies in it', () => {
    for (const { path, type, range, default: value } of [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS]) {
      if (!['number', 'bytes', 'duration'].includes(type)) continue;
      expect(range, path).toBeDefined();
      if (typeof value !== 'number' || range === undefined) continue;
      expect(value, path).toBeGreaterThanOrEqual(range.min);
      expect(value, path).toBeLessThanOrEqual(range.max);
    }
  });

  it('have names of variables that no other setting has, but for those without a transport', () => {
    const settings = [...GATEWAY_SETTINGS, ...UPSTREAM_SETTINGS];
    const names = settings.flatMap(({ environmentNames }) => environmentNames);
    const shared = names.filter((name, index) => names.indexOf(name) !== index);
    expect(shared).toEqual([
      'SLUICE_UPSTREAMS_<NAME>_URL',
      'SLUICE_UPSTREAMS_<NAME>_HEADERS',
      'SLUICE_UPSTREAMS_<NAME>_MAX_CONNECTIONS',
    ]);
    const longest = settings.flatMap(({ environmentNames }) => environmentNames.at(-1) ?? []);
    expect(new Set(longest).size).toBe(longest.length);
    expect(names).toContain('SLUICE_LISTEN_PORT');
    expect(names).toContain('SLUICE_GATEWAY_LISTEN_PORT');
  });
});
