/* Rules at the fields of the schema, and that their numbers are those of the library that reads them. */
import { create, type DescField, type DescMessage, fromJson, type JsonObject } from '@bufbuild/protobuf';
import { file_buf_validate_validate as theirs } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { describe, expect, it } from 'vitest';
import { file_buf_validate_validate as ours } from '../gen/buf/validate/validate_pb.js';
import type { Era, Upstream } from '../gen/sluice/config/v1/config_pb.js';
import { ResourceSchema } from '../gen/sluice/config/v1/resource_pb.js';
import { fieldViolations } from './field-rules.js';

const made = (json: JsonObject) => fromJson(ResourceSchema, json);
const url = 'http://127.0.0.1:1/mcp';

describe('a field', () => {
  it.each<[what: string, json: JsonObject]>([
    ['an upstream', { upstream: { name: 'a', http: { url, headers: { a: 'b' } } } }],
    ['a region', { region: { name: 'eu-1', title: 'Europe' } }],
    ['a secret', { secret: { name: 'key', file: '/run/secrets/key..old' } }],
    ['a key', { credential: { name: 'a', apiKey: { expires: '2030-01-31T00:00:00Z' } } }],
    ['labels', { labels: { team: 'search' }, gateway: {} }],
  ])('that is right: %s', async (_, json) => {
    expect(await fieldViolations(made(json))).toEqual([]);
  });

  it.each<[field: string, message: string, hint: string, json: JsonObject]>([
    ['regions', 'something stands there twice', 'unique', { regions: ['a', 'a'], gateway: {} }],
    [
      'labels',
      'too many',
      'at most 64',
      { labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, ''])), gateway: {} },
    ],
    ['labels.x', 'too long', 'at most 256', { labels: { x: 'x'.repeat(257) }, gateway: {} }],
    ['spec', 'missing', 'exactly one', {}],
    ['name', 'not a name', 'write 1 to 63 letters', { region: { name: '../eu' } }],
    ['name', 'not a name', 'write 1 to 63 letters', { tenantSpec: { name: '__proto__' } }],
    ['max_resources', 'out of range', '1000000', { tenantSpec: { name: 'a', maxResources: 4_000_000_000 } }],
    ['env', 'not a name of a variable', 'write letters', { secret: { name: 'a', env: 'A B' } }],
    ['file', 'not an absolute path', 'begins with /', { secret: { name: 'a', file: '/run/../etc/shadow' } }],
    ['file', 'not an absolute path', 'begins with /', { secret: { name: 'a', file: '/run/a\0' } }],
    ['source', 'missing', 'exactly one', { secret: { name: 'a' } }],
    [
      'tools[0].description',
      'too long',
      'at most 65536',
      { virtualServer: { name: 'a', tools: [{ description: 'x'.repeat(65_537) }] } },
    ],
    [
      'http.headers.x',
      'too long',
      'at most 16384',
      { upstream: { name: 'a', http: { url, headers: { x: 'x'.repeat(16_385) } } } },
    ],
    ['scopes[1]', 'too short', 'at least 1', { consumer: { name: 'a', scopes: ['a', ''] } }],
    [
      'api_key.expires',
      'out of range',
      '1970',
      { credential: { apiKey: { expires: '1969-12-31T00:00:00Z' } } },
    ],
  ])('that is not: %s: %s', async (field, message, hint, json) => {
    expect(await fieldViolations(made(json))).toMatchObject([
      { field, message, hint: expect.stringContaining(hint) },
    ]);
  });

  it('that is not: a value that no version of the schema has', async () => {
    const value = { name: 'a', era: 77 as Era } as Upstream;
    const resource = create(ResourceSchema, { spec: { case: 'upstream', value } });
    expect(await fieldViolations(resource)).toMatchObject([
      { field: 'era', message: 'a value that nobody knows' },
    ]);
  });
});

/** What is written of a field on the wire. */
const wire = (field: DescField) => ({
  name: field.name,
  number: field.number,
  kind: field.fieldKind,
  type: field.proto.type,
  of: field.message?.typeName,
  oneof: field.oneof?.name,
});

describe('the names for rules', () => {
  const known = new Map<string, DescMessage>(theirs.messages.map((each) => [each.name, each]));

  it.each(ours.messages.map((each) => [each.name, each] as const))(
    '%s has their numbers',
    (name, message) => {
      const fields = new Map(known.get(name)?.fields.map((each) => [each.name, wire(each)]));
      for (const field of message.fields) expect(wire(field)).toEqual(fields.get(field.name));
    },
  );

  it('and so have the options', () => {
    const options = theirs.extensions.map(({ name, number, extendee }) => [name, number, extendee.typeName]);
    for (const { name, number, extendee } of ours.extensions)
      expect(options).toContainEqual([name, number, extendee.typeName]);
  });
});
