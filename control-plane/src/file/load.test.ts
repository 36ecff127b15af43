import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toJson } from '@bufbuild/protobuf';
import { ConfigurationSchema, resolveConfiguration } from '@sluice/proto';
import { afterAll, describe, expect, it } from 'vitest';
import { formatProblem } from '../validation/problem.js';
import {
  type LoadedConfiguration,
  type LoadOptions,
  loadConfigurationFile,
  loadConfigurationWithoutFile,
  parseConfiguration,
} from './load.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-load-'));
afterAll(() => rmSync(folder, { recursive: true }));

const read = (text: string, options: LoadOptions = {}, file = '/etc/sluice/sluice.yaml') =>
  parseConfiguration(text, { environment: {}, ...options, file });

/** The configuration as JSON, after checking that nothing was said about it. */
function accepted(loaded: LoadedConfiguration): unknown {
  expect(loaded.problems).toEqual([]);
  return loaded.configuration && toJson(ConfigurationSchema, loaded.configuration);
}

const formatted = ({ problems }: LoadedConfiguration) => problems.map((problem) => formatProblem(problem));

const EXPECTED = {
  gateway: {
    listen: { port: 9000, listener: 'LISTENER_KIND_NODE', allowedHosts: ['gateway.example'] },
    limits: { maxBodyBytes: 2_097_152, bodyTimeout: '0.500s' },
    naming: { mode: 'NAMING_MODE_WHEN_NEEDED' },
    sessions: { idleTimeout: '300s' },
  },
  upstreams: [
    {
      name: 'time',
      era: 'ERA_MODERN',
      http: { url: 'http://127.0.0.1:3001/mcp', headers: { 'X-Version': '1.10' } },
    },
    {
      name: 'files',
      stdio: {
        command: 'npx',
        args: ['-y', 'server', '8'],
        env: { LEVEL: 'info' },
        cwd: '/etc/sluice/data',
        sharing: 'STDIO_SHARING_PER_SESSION',
      },
    },
  ],
};

const YAML_MAPPING = `
gateway:
  listen: { port: 9000, listener: node, allowed_hosts: [gateway.example] }
  limits: { max_body_bytes: 2MiB, body_timeout: 500ms }
  naming: { mode: when_needed }
  sessions: { idle_timeout: 5m }
upstreams:
  time:
    era: modern
    url: http://127.0.0.1:3001/mcp
    headers: { X-Version: 1.10 }
  files:
    command: npx
    args: [-y, server, 8]
    env: { LEVEL: info }
    cwd: data
    sharing: per_session
`;

const YAML_LIST = `
gateway:
  listen: { port: "9000", listener: LISTENER_KIND_NODE, allowedHosts: [gateway.example] }
  limits: { maxBodyBytes: 2097152, bodyTimeout: 0.500s }
  naming: { mode: WHEN-NEEDED }
  sessions: { idleTimeout: 300s }
upstreams:
  - name: time
    era: Modern
    http: { url: "http://127.0.0.1:3001/mcp", headers: { X-Version: "1.10" } }
  - name: files
    stdio: { command: npx, args: [-y, server, "8"], env: { LEVEL: info }, cwd: ./data, sharing: per-session }
`;

const TOML = `
[gateway.listen]
port = 9000
listener = "node"
allowed_hosts = ["gateway.example"]
[gateway]
limits = { max_body_bytes = "2MiB", body_timeout = "500ms" }
naming.mode = "when_needed"
sessions.idle_timeout = "5m"

[[upstreams]]
name = "time"
era = "modern"
url = "http://127.0.0.1:3001/mcp"
headers = { X-Version = "1.10" }

[[upstreams]]
name = "files"
command = "npx"
args = ["-y", "server", "8"]
env.LEVEL = "info"
cwd = "data"
sharing = "per_session"
`;

const commented = (text: string) =>
  text
    .replace('{', '// It is "mine".\n/* { */ {')
    .replaceAll('[', '[ /* "first" */ ')
    .replace(/}$/, ', } // end');

const JSON_TEXT = `{
\t"$schema": "./config.schema.json",
\t"gateway": {
\t\t"listen": { "port": 9000, "listener": "node", "allowedHosts": ["gateway.example"] },
\t\t"limits": { "maxBodyBytes": "2MiB", "bodyTimeout": "500ms" },
\t\t"naming": { "mode": "when_needed" },
\t\t"sessions": { "idleTimeout": "5m" }
\t},
\t"upstreams": {
\t\t"time": { "era": "modern", "url": "http:\\/\\/127.0.0.1:3001/mcp", "headers": { "X-Version": "1.10" } },
\t\t"files": {
\t\t\t"command": "npx", "args": ["-y", "server", 8], "env": { "LEVEL": "info" }, "cwd": "/etc/sluice/data",
\t\t\t"sharing": "per_session"
\t\t}
\t}
}`;

describe('formats', () => {
  it.each([
    ['YAML with upstreams by name', YAML_MAPPING, 'sluice.yaml'],
    ['YAML with a list of upstreams', YAML_LIST, 'sluice.yml'],
    ['TOML', TOML, 'sluice.toml'],
    ['JSON', JSON_TEXT, 'sluice.json'],
    ['YAML by its content', YAML_MAPPING, 'sluice'],
    ['TOML by its content', TOML, 'sluice.conf'],
    ['JSON by its content', JSON_TEXT, 'sluice.conf'],
    ['JSON with comments', commented(JSON_TEXT), 'sluice.json'],
    ['JSON with comments by its content', commented(JSON_TEXT), 'sluice.conf'],
    ['YAML with a byte order mark', `\ufeff${YAML_MAPPING}`, 'sluice.yaml'],
    ['JSON with Windows line ends', JSON_TEXT.replaceAll('\n', '\r\n'), 'sluice.json'],
  ])('%s means the same', (_, text, name) => {
    expect(accepted(read(text, {}, `/etc/sluice/${name}`))).toEqual(EXPECTED);
  });

  it('reads a file on disk, also through a symbolic link, and anchors paths at the folder of the name', async () => {
    writeFileSync(
      join(folder, 'real.yaml'),
      'upstreams: {a: {command: c, cwd: w}}\ngateway: {listen: {tls: {cert_file: c.pem, key_file: /k.pem}}}\n',
    );
    symlinkSync('real.yaml', join(folder, 'link.yaml'));
    const { configuration } = await loadConfigurationFile(join(folder, 'link.yaml'), { environment: {} });
    if (!configuration) throw new Error('not accepted');
    const { gateway, upstreams } = resolveConfiguration(configuration);
    expect(upstreams[0]?.transport).toMatchObject({ cwd: join(folder, 'w') });
    expect(gateway.listen.tls).toEqual({ certFile: join(folder, 'c.pem'), keyFile: '/k.pem' });
  });

  it.each([
    ['{ url: http://h/, headers: {A: b} }', { http: { url: 'http://h/', headers: { A: 'b' } } }],
    ['{ headers: {A: b}, url: WSS://h/ }', { websocket: { url: 'WSS://h/', headers: { A: 'b' } } }],
    ['{ headers: {A: b}, url: "${S}://h/" }', { websocket: { url: 'ws://h/', headers: { A: 'b' } } }],
    ['{ url: unix:///run/a.sock:/x }', { http: { url: 'unix:///run/a.sock:/x' } }],
    ['{ headers: {A: b}, sse: {url: http://h/} }', { sse: { url: 'http://h/', headers: { A: 'b' } } }],
    ['{ sse: {url: http://h/}, headers: {A: b} }', { sse: { url: 'http://h/', headers: { A: 'b' } } }],
    ['{ max_connections: 3, url: ws://h/ }', { websocket: { url: 'ws://h/', maxConnections: 3 } }],
  ])('puts short keys of %s below their transport', (upstream, transport) => {
    const loaded = read(`upstreams: {a: ${upstream}}`, { environment: { S: 'ws' } });
    expect(accepted(loaded)).toEqual({ gateway: {}, upstreams: [{ name: 'a', ...transport }] });
  });

  it('takes keys with nothing behind them as left out', () => {
    const text =
      'gateway:\n  listen:\n    port:\n  limits:\nupstreams:\n  a:\n    url: http://h/\n    headers:\n';
    expect(accepted(read(text))).toEqual({
      gateway: { listen: {} },
      upstreams: [{ name: 'a', http: { url: 'http://h/' } }],
    });
  });

  it('follows aliases, each to the anchor that stood before it', () => {
    const text = `upstreams:
  a: {command: c, args: &common [&word one, *word], cwd: &word /two}
  b: {command: *word, args: *common}
`;
    expect(accepted(read(text))).toMatchObject({
      upstreams: [
        { stdio: { args: ['one', 'one'], cwd: '/two' } },
        { stdio: { command: '/two', args: ['one', 'one'] } },
      ],
    });
  });
});

describe('variables in the file', () => {
  it('puts them into texts, numbers, durations and lists, and leaves keys alone', () => {
    const text = `
gateway: { listen: { port: "\${PORT}" }, discovery: { interval: "\${EVERY:-7s}" } }
upstreams:
  a:
    url: https://\${HOST}/mcp
    headers: { X: "Bearer \${TOKEN}, $\${TOKEN}" }
  b: { command: c, args: ["\${TOKEN}"], env: { "\${HOST}": x } }
`;
    const environment = { PORT: '9100', HOST: 'h.example', TOKEN: '${HOST}' };
    expect(accepted(read(text, { environment }))).toMatchObject({
      gateway: { listen: { port: 9100 }, discovery: { interval: '7s' } },
      upstreams: [
        { http: { url: 'https://h.example/mcp', headers: { X: 'Bearer ${HOST}, ${TOKEN}' } } },
        { stdio: { args: ['${HOST}'], env: { '${HOST}': 'x' } } },
      ],
    });
  });

  it.each([
    ['YAML, plain', 'sluice.yaml', 'upstreams:\n  a:\n    url: http://${HOST}/\n', 3, 17],
    ['YAML, quoted', 'sluice.yaml', 'upstreams:\n  a:\n    url: "http://${HOST}/"\n', 3, 18],
    ['YAML, folded', 'sluice.yaml', 'upstreams:\n  a:\n    url: >-\n      http://${HOST}/\n', 3, 10],
    ['JSON', 'sluice.json', '{"upstreams": {"a": {\n"url": "http://${HOST}/"}}}', 2, 16],
    ['TOML', 'sluice.toml', '[upstreams.a]\nurl = "http://${HOST}/"\n', 2, 15],
  ])('says where an unset one stands: %s', (_, file, text, line, column) => {
    expect(formatted(read(text, {}, file))).toEqual([
      `${file}:${line}:${column}: error: upstreams[0].http.url: the environment variable HOST is not set\n` +
        '  hint: set it, or give a default: ${HOST:-default}',
    ]);
  });

  it.each([
    ['workers: -1', 'workers: `-1` is out of range', 'from 1 to 256'],
    ['workers: "-1"', 'workers: `"-1"` is out of range', 'from 1 to 256'],
    ['port: 99999999999', 'port: `99999999999` is out of range', 'from 0 to 65535'],
  ])('says the range of its setting where a number can be none of any: %s', (setting, message, hint) => {
    const said = formatted(read(`gateway: { listen: { ${setting} } }`))[0];
    expect(said).toContain(message);
    expect(said).toContain(`write a whole number ${hint}`);
  });

  it('shows the reference and not the value when the value is no good', () => {
    const loaded = read('gateway: {listen: {port: "${PORT}"}}', { environment: { PORT: 'hunter2' } });
    expect(formatted(loaded)[0]).toContain('`"${PORT}"` is not a whole number');
    expect(JSON.stringify(loaded)).not.toContain('hunter2');
  });
});

describe('unknown keys', () => {
  it.each(['type', 'transport'])('say how to name a transport instead of %s', (key) => {
    const [problem] = read(`upstreams: {a: {${key}: sse, url: http://h/}}`).problems;
    expect(problem).toMatchObject({
      path: `upstreams[0].${key}`,
      hint: expect.stringContaining('sse: { url'),
    });
  });

  it.each([
    ['gatway: {}', '1:1: error: gatway: unknown key', 'did you mean gateway?'],
    ['gateway:\n  listen: {prot: 1}', '2:12: error: gateway.listen.prot: unknown key', 'did you mean port?'],
    ['gateway: {port: 1}', '1:11: error: gateway.port: unknown key', 'did you mean gateway.listen.port?'],
    [
      'gateway: {limits: {max_body: 1}}',
      'gateway.limits.max_body: unknown key',
      'did you mean max_body_bytes?',
    ],
    ['gateway: {limits: {MaxBodyBytes: 1}}', 'MaxBodyBytes: unknown key', 'did you mean max_body_bytes?'],
    ['timeout: 1s', '1:1: error: timeout: unknown key', 'did you mean upstreams[].timeout?'],
    ['servers: {}', 'servers: unknown key', 'did you mean upstreams, or mcpServers?'],
    [
      'zzz: {}',
      'zzz: unknown key',
      'known here: gateway, upstreams, plugins, endpoints, virtual_servers, consumers, credentials, policies, limits, mcpServers, $schema',
    ],
    ['upstreams: {a: {uri: http://h/}}', 'upstreams[0].uri: unknown key', 'did you mean url?'],
    [
      'upstreams: {a: {http: {command: x}}}',
      'upstreams[0].http.command: unknown key',
      'did you mean upstreams[].stdio.command?',
    ],
    ['upstreams: {a: {1: x}}', 'upstreams[0].1: unknown key', 'known here: id, name, http, stdio'],
    ['upstreams: {a: {<<: {url: x}}}', 'upstreams[0].<<: unknown key', 'known here'],
  ])('%j', (text, message, hint) => {
    const [problem] = formatted(read(text));
    expect(problem).toContain(message);
    expect(problem).toContain(hint);
  });
});

describe('what is wrong', () => {
  it('is told in one pass, in the order of the file', () => {
    const text = `
gateway:
  listen: { port: 70000, host: 0.0.0.0 }
  discovery: { interval: soon, deadline: 9d }
  limits: { max_conections: 3, max_body_bytes: 0 }
  default_upstream: nobody
upstreams:
  a: { url: "http://\${NOWHERE}/", headers: { "a b": c } }
  b: { command: c, timeout: 0s, agrs: [x] }
  search: { comand: c }
`;
    const problems = read(text).problems.map(({ line, path, message }) => `${line} ${path}: ${message}`);
    expect(problems).toEqual([
      '3 gateway.listen.port: 70000 is out of range',
      expect.stringContaining('3 gateway.listen.host: 0.0.0.0 can be reached'),
      '4 gateway.discovery.interval: `soon` is not a duration',
      '5 gateway.limits.max_conections: unknown key',
      '5 gateway.limits.max_body_bytes: 0 is out of range',
      '6 gateway.default_upstream: there is no upstream named nobody',
      '8 upstreams[0].http.url: the environment variable NOWHERE is not set',
      '8 upstreams[0].http.headers: "a b" is not a header name',
      '9 upstreams[1].timeout: 0ms is out of range',
      '9 upstreams[1].agrs: unknown key',
      '10 upstreams[2].name: search is reserved: /mcp/search is an endpoint of the gateway',
      '10 upstreams[2].comand: unknown key',
    ]);
  });

  it.each([
    ['upstreams: x\ngateway: {default_upstream: a}', ['upstreams']],
    ['upstreem: {}', ['upstreem']],
    ['mcpServers: []', ['mcpServers']],
    ['upstreams: [x]\ngateway: {default_upstream: a}', ['upstreams[0]']],
    ['upstreams: {a: {url: http://h/, command: c}}', ['upstreams[0]']],
    ['upstreams: {a: {http: {ulr: http://h/}}}', ['upstreams[0].http.ulr']],
    ['upstreams: [{nmae: a, command: c}]', ['upstreams[0].nmae']],
    [
      'gateway: {listen: {host: 0.0.0.0, insecure: perhaps}}\nupstreams: {a: {command: c}}',
      ['gateway.listen.insecure'],
    ],
    ['gateway: {naming: {separator: [x]}}\nupstreams: {a__b: {command: c}}', ['gateway.naming.separator']],
  ])('is not what only follows from something else: %j', (text, paths) => {
    expect(read(text).problems.map(({ path }) => path)).toEqual(paths);
  });
});

describe('refusals while reading', () => {
  it.each([
    ['upstreams: {a: {url: http://h/, http: {url: http://i/}}}', 'upstreams[0].http.url: given twice'],
    ['upstreams: {a: {http: {url: http://h/}, url: http://i/}}', 'upstreams[0].http.url: given twice'],
    ['upstreams: {a: {sse: {url: http://h/}, max_connections: 3}}', 'max_connections: unknown key'],
    ['upstreams: {a: {sse: {url: http://h/}, http: {url: http://h/}}}', 'settings of http and sse'],
    [
      'gateway: {limits: {max_url_bytes: 1KiB, maxUrlBytes: 1KiB}}',
      'gateway.limits.max_url_bytes: given twice',
    ],
    ['upstreams: {a: {url: http://h/, command: c}}', 'settings of http and stdio in one upstream'],
    ['upstreams: {a: {http: {url: x}, stdio: {command: c}}}', 'settings of http and stdio'],
    ['upstreams: {a: {name: b, url: http://h/}}', 'upstreams[0].name: named twice'],
    ['upstreams: [a]', 'upstreams[0]: a single value where a mapping belongs'],
    ['upstreams: {a: http://h/}', 'upstreams[0]: a single value where a mapping belongs'],
    ['upstreams: {a: {command: c, args: x}}', 'args: a single value where a list belongs'],
    ['upstreams: {a: {command: c, args: [[x]]}}', 'args[0]: a list where a text belongs'],
    ['upstreams: {a: {command: c, env: {A: }}}', 'env.A: no value'],
    ['upstreams: {a: {command: c, env: [A=b]}}', 'env: a list where a mapping belongs'],
    ['upstreams: {a: {command: c, env: {__proto__: x}}}', 'a key named __proto__'],
    ['upstreams: {a: {url: [x]}}', 'url: a list where a single value belongs'],
    ['gateway: [x]', 'gateway: a list where a mapping belongs'],
    ['gateway: {listen: {port: eighty}}', 'port: `eighty` is not a whole number'],
    ['gateway: {listen: {insecure: perhaps}}', 'insecure: `perhaps` is neither true nor false'],
    ['gateway: {discovery: {interval: 10}}', 'interval: `10` is a duration without a unit'],
    ['gateway: {limits: {max_body_bytes: 4 MXB}}', 'max_body_bytes: `4 MXB` is not a size'],
    ['upstreams: {a: {era: ancient, url: http://h/}}', 'era: `ancient` is not one of the known words'],
    ['just text', '1:1: error: a single value where a mapping belongs'],
    ['[1, 2]', '1:1: error: a list where a mapping belongs'],
    ['', 'sluice.yaml: error: the file is empty'],
    ['# nothing but a comment\n', 'sluice.yaml: error: the file is empty'],
  ])('%j', (text, message) => {
    const loaded = read(text);
    expect(loaded.configuration).toBeUndefined();
    expect(formatted(loaded)[0]).toContain(message);
  });

  it('never shows values of headers and environments', () => {
    const secret = 'hunter2\\nX: y';
    const text = `upstreams:\n  a: {url: http://h/, headers: {A: "${secret}"}}\n  b: {command: c, env: {"": "hunter2"}}\n`;
    const loaded = read(text);
    expect(loaded.problems.filter(({ severity }) => severity === 'error')).toHaveLength(2);
    expect(JSON.stringify(loaded)).not.toContain('hunter2');
  });
});

describe('places of what validation finds', () => {
  it('points at values, at keys that give names, and at what holds something missing', () => {
    const text = `gateway:
  listen:
    host: 0.0.0.0
  limits: {max_url_bytes: 1}
upstreams:
  search:
    url: ftp://h/
  b:
    headers: {A: b}
  c:
    era: auto
`;
    expect(formatted(read(text)).map((problem) => problem.split(': ').slice(0, 3).join(' '))).toEqual([
      '/etc/sluice/sluice.yaml:3:11 error gateway.listen.host',
      '/etc/sluice/sluice.yaml:4:27 error gateway.limits.max_url_bytes',
      '/etc/sluice/sluice.yaml:6:3 error upstreams[0].name',
      '/etc/sluice/sluice.yaml:7:10 error upstreams[0].http.url',
      '/etc/sluice/sluice.yaml:9:5 error upstreams[1].http.url',
      '/etc/sluice/sluice.yaml:11:5 error upstreams[2]',
    ]);
  });
});

describe('files that cannot be read', () => {
  it.each([
    ['missing.yaml', /there is no such file/],
    ['.', /this is a folder/],
    ['real.bin', /not text in UTF-8/],
    ['large.yaml', /larger than 1048576 bytes/],
  ])('%s', async (name, message) => {
    writeFileSync(join(folder, 'real.bin'), Buffer.from([0x61, 0xff, 0xfe]));
    writeFileSync(join(folder, 'large.yaml'), ' '.repeat(1024 * 1024 + 1));
    const { configuration, problems } = await loadConfigurationFile(join(folder, name), { environment: {} });
    expect(configuration).toBeUndefined();
    expect(problems).toEqual([
      {
        severity: 'error',
        path: '',
        file: join(folder, name),
        message: expect.stringMatching(message),
        hint: expect.any(String),
      },
    ]);
  });
});

describe('without a file', () => {
  it('is the defaults and a warning that nothing is served', () => {
    const { configuration, problems } = loadConfigurationWithoutFile({ environment: {} });
    expect(problems).toMatchObject([{ severity: 'warning', path: 'upstreams' }]);
    expect(configuration && resolveConfiguration(configuration).upstreams).toEqual([]);
  });
});

describe('the reference page', () => {
  const page = readFileSync(
    fileURLToPath(new URL('../../../docs/reference/configuration.md', import.meta.url)),
    'utf8',
  );
  const examples = [...page.matchAll(/```(yaml|toml|json)\n(.*?)```/gs)];

  it.each(examples.map(([, format, text]) => [format as string, text as string]))(
    'has an example in %s that is accepted',
    (format, text) => {
      const { problems } = read(text, {}, `example.${format}`);
      expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    },
  );

  it('has examples of every format', () => {
    expect(new Set(examples.map(([, format]) => format))).toEqual(new Set(['yaml', 'toml', 'json']));
  });
});
