import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { formatProblem } from '../validation/problem.js';
import { loadConfigurationFile } from './load.js';
import { pinsBelowTenant } from './pins.js';
import { loadResourceFile } from './resources.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-pins-'));
const file = join(folder, 'sluice.yaml');
afterAll(() => rmSync(folder, { recursive: true }));

const READ = {
  name: 'read',
  description: 'Costs $5, ${HOME} ${secret:db} $${X}',
  inputSchema: { type: 'object' },
};
const write = (pins: unknown) =>
  writeFileSync(join(folder, 'sluice.pins.json'), typeof pins === 'string' ? pins : JSON.stringify(pins));
const load = () => loadConfigurationFile(file, { environment: {} });
const config = async () => (await load()).configuration?.plugins[0]?.config;

beforeEach(() => {
  writeFileSync(
    file,
    'upstreams: {files: {url: http://127.0.0.1:1/mcp}}\nplugins: [{plugin: pin, config: {new: hold}}]\n',
  );
  write({ files: { read: READ } });
});

describe('sluice.pins.json', () => {
  it('becomes the accepted definitions of pin, and nothing in it is followed', async () => {
    expect(await config()).toEqual({ new: 'hold', accepted: { files: { read: JSON.stringify(READ) } } });
  });

  it('goes into the resource, where texts are read for references once more', async () => {
    const { resources, problems } = await loadResourceFile(file);
    expect(problems).toEqual([]);
    const [pin] = resources.flatMap(({ resource: { spec } }) => (spec.case === 'plugin' ? [spec.value] : []));
    const read =
      '{"name":"read","description":"Costs $5, $${HOME} $${secret:db} $$${X}","inputSchema":{"type":"object"}}';
    expect(pin?.config).toEqual({ new: 'hold', accepted: { files: { read } } });
  });

  it('is that of the upstreams of a tenant in a resource of a tenant', async () => {
    const { resources } = await loadResourceFile(file);
    for (const { resource } of resources) {
      resource.tenant = 'acme';
      pinsBelowTenant(resource);
      pinsBelowTenant(resource);
    }
    const [accepted] = resources.flatMap(({ resource: { spec } }) =>
      spec.case === 'plugin' ? [spec.value.config?.accepted as object] : [],
    );
    expect(Object.keys(accepted as object)).toEqual(['acme/files']);
  });

  it('is left alone where the configuration has definitions of its own, or no pin, or there is none', async () => {
    writeFileSync(file, 'upstreams: {}\nplugins: [{plugin: pin, config: {accepted: {}}}]\n');
    expect(await config()).toEqual({ accepted: {} });
    writeFileSync(file, 'upstreams: {}\nplugins: [{plugin: validate}]\n');
    write('{');
    expect((await load()).configuration?.plugins).toHaveLength(1);
    writeFileSync(file, 'upstreams: {}\nplugins: [pin]\n');
    rmSync(join(folder, 'sluice.pins.json'));
    expect((await load()).configuration?.plugins[0]?.config).toBeUndefined();
  });

  it.each([
    ['{', /sluice\.pins\.json: error: no JSON/],
    ['', /no JSON/],
    [[], /no object of upstreams/],
    [{ files: [] }, /"files" is no object of tools/],
    [{ files: { read: { name: 'write' } } }, /"files:read" is no definition of a tool of this name/],
    [{ files: { read: 'sha256' } }, /"files:read" is no definition/],
  ])('is refused as %j, and so is the configuration', async (pins, said) => {
    write(pins);
    const { configuration, problems } = await load();
    expect(configuration).toBeUndefined();
    expect(problems.map((problem) => formatProblem(problem)).join('\n')).toMatch(said);
  });
});
