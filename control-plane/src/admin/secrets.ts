/** Where secrets are in a resource. Whoever adds a field that may hold one adds it here. */
import { builtIn } from '@sluice/plugins';
import type { Gateway, PluginBinding, Upstream } from '@sluice/proto';
import type { Resource } from '@sluice/proto/cluster';
import { findPlugin } from '@sluice/sdk/manifest';

export interface Secret {
  /** Its path in the resource. */
  readonly field: string;
  readonly value: string;
  /** Puts something else in its place, in the resource that was given. */
  readonly replace: (value: string) => void;
}

export function secretsOf({ spec }: Resource): Secret[] {
  switch (spec.case) {
    case 'gateway':
      return ofGateway(spec.value);
    case 'upstream':
      return ofUpstream(spec.value);
    case 'credential': {
      const { kind } = spec.value;
      if (kind.case === 'apiKey') return [member(kind.value, 'hash', 'api_key.hash')];
      return kind.case === 'password' ? [member(kind.value, 'hash', 'password.hash')] : [];
    }
    case 'plugin':
      return ofPlugin(spec.value);
    default:
      return [];
  }
}

function member<K extends string>(holder: Record<K, string>, key: K, field: string): Secret {
  return {
    field,
    value: holder[key],
    replace: (value) => {
      holder[key] = value as never;
    },
  };
}

function members(holder: Record<string, string>, field: string): Secret[] {
  return Object.keys(holder).map((key) => member(holder, key, `${field}.${key}`));
}

function ofGateway({ admin, sessions }: Gateway): Secret[] {
  const keys = sessions?.keys ?? [];
  return [
    ...(admin === undefined ? [] : [member(admin, 'token', 'admin.token')]),
    ...keys.map((value, index) => ({
      field: `sessions.keys[${index}]`,
      value,
      replace: (other: string) => {
        keys[index] = other;
      },
    })),
  ];
}

function ofUpstream({ transport }: Upstream): Secret[] {
  if (transport.case === undefined) return [];
  if (transport.case === 'stdio') return members(transport.value.env, 'stdio.env');
  return [
    ...members(transport.value.headers, `${transport.case}.headers`),
    ...ofQuery(transport.value, `${transport.case}.url`),
  ];
}

/** Some servers are given their key in the query. */
function ofQuery(holder: { url: string }, field: string): Secret[] {
  const start = holder.url.indexOf('?');
  if (start === -1) return [];
  const base = holder.url.slice(0, start + 1);
  return [
    {
      field: `${field}?`,
      value: holder.url.slice(start + 1),
      replace: (value) => {
        holder.url = base + value;
      },
    },
  ];
}

/** A JSON Schema, or a part of one. */
interface Schema {
  readonly writeOnly?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** What is known of no schema is taken for a secret. */
const UNKNOWN: Schema = {
  writeOnly: true,
  get additionalProperties() {
    return UNKNOWN;
  },
  get items() {
    return UNKNOWN;
  },
};

function ofPlugin({ plugin, hash, config }: PluginBinding): Secret[] {
  if (config === undefined) return [];
  const found: Secret[] = [];
  const schemas = [schemaOf(plugin, hash)];
  for (const key of Object.keys(config)) collect(found, config, key, `config.${key}`, below(schemas, key));
  return found;
}

function schemaOf(plugin: string, hash: string): Schema {
  const own = builtIn(plugin);
  if (own !== undefined) return own.config as Schema;
  try {
    return findPlugin(plugin, hash).manifest.config as Schema;
  } catch {
    return UNKNOWN;
  }
}

function collect(
  found: Secret[],
  holder: object,
  key: string | number,
  field: string,
  schemas: readonly Schema[],
): void {
  const values = holder as Record<string | number, unknown>;
  const value = values[key];
  if (typeof value === 'string') {
    const replace = (other: string) => {
      values[key] = other;
    };
    if (schemas.some(({ writeOnly }) => writeOnly === true)) found.push({ field, value, replace });
  } else if (Array.isArray(value)) {
    const inside = schemas.flatMap(({ items }) => forms(items));
    for (const index of value.keys()) collect(found, value, index, `${field}[${index}]`, inside);
  } else if (typeof value === 'object' && value !== null) {
    for (const name of Object.keys(value))
      collect(found, value, name, `${field}.${name}`, below(schemas, name));
  }
}

/** What is said of a field by the schemas that its object may have. */
function below(schemas: readonly Schema[], name: string): readonly Schema[] {
  return schemas.flatMap(forms).flatMap((schema) => {
    const { properties, patternProperties, additionalProperties } = schema;
    const own = properties !== undefined && Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (own !== undefined) return forms(own);
    const patterns = Object.values(patternProperties ?? {}).flatMap(forms);
    if (patterns.length > 0) return patterns;
    return typeof additionalProperties === 'object' ? forms(additionalProperties) : [];
  });
}

function forms(schema: Schema | undefined): readonly Schema[] {
  if (schema === undefined) return [];
  const { anyOf = [], allOf = [], oneOf = [] } = schema;
  const others = [...anyOf, ...allOf, ...oneOf];
  return others.length === 0 ? [schema] : [schema, ...others.flatMap(forms)];
}
