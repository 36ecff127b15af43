/**
 * The JSON Schema of configuration files with the settings of the plugins that come with Sluice: what `proto` says about
 * the file, and below `plugins[].config` what each plugin says of itself. It is made here, because `proto` knows no plugins.
 */
import { BUILT_IN, builtIn } from '@sluice/plugins';

type Plugin = NonNullable<ReturnType<typeof builtIn>>;

/** A JSON Schema, or a part of one. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** A text that holds a reference to a variable can become anything. */
const REFERENCE: JsonSchema = { type: 'string', pattern: '\\$\\{' };
/** What does not come with the gateway: a package, or the path of a module. */
const ELSEWHERE: JsonSchema = { type: 'string', pattern: '^(?:\\.{0,2}/|npm:)' };
const LIMITS_OF_TEXT = ['pattern', 'minLength', 'maxLength'];

/** @param base the schema of `proto` */
export function editorSchema(base: JsonSchema): JsonSchema {
  const plugins = BUILT_IN.map((name) => builtIn(name) as Plugin);
  const definitions = base.definitions as Record<string, JsonSchema>;
  const binding = definitions.plugin as JsonSchema;
  const fields = binding.properties as Record<string, JsonSchema>;
  const named = plugins.map(({ name, description }) => ({ const: name, description }));
  const plugin = { description: fields.plugin?.description, anyOf: [...named, ELSEWHERE, REFERENCE] };
  return {
    ...base,
    definitions: {
      ...definitions,
      plugin: { ...binding, properties: { ...fields, plugin }, allOf: plugins.map(configOf) },
      ...Object.fromEntries(plugins.map(({ name, config }) => [definitionOf(name), configSchema(config)])),
    },
  };
}

function definitionOf(name: string): string {
  return `config-of-${name}`;
}

/** Where a plugin is named, its `config` is what that plugin takes. */
function configOf({ name, config }: Plugin): JsonSchema {
  const own = { properties: { config: { $ref: `#/definitions/${definitionOf(name)}` } } };
  const isNeeded = requiredOf(config).length > 0;
  return {
    if: { properties: { plugin: { const: name } }, required: ['plugin'] },
    then: isNeeded ? { ...own, required: ['config'] } : own,
  };
}

function configSchema(config: JsonSchema): JsonSchema {
  const schema = asWritten(config);
  return requiredOf(config).length > 0 ? schema : { ...schema, type: ['object', 'null'] };
}

/** What a plugin gets has its defaults filled in and its variables replaced; a file has neither. */
function asWritten(schema: JsonSchema): JsonSchema {
  if (schema.anyOf !== undefined) return { ...schema, anyOf: formsOf(schema.anyOf as JsonSchema[]) };
  if (schema.type === 'string') return textOf(schema);
  if (schema.type === 'array') return { ...schema, items: asWritten(schema.items as JsonSchema) };
  return schema.type === 'object' ? mappingOf(schema) : schema;
}

function formsOf(forms: readonly JsonSchema[]): readonly JsonSchema[] {
  const words = forms.flatMap((form) => (form.const === undefined ? [] : [form.const]));
  return words.length === forms.length ? [{ enum: words }, REFERENCE] : forms.map(asWritten);
}

function textOf(schema: JsonSchema): JsonSchema {
  const limits = Object.entries(schema).filter(([keyword]) => LIMITS_OF_TEXT.includes(keyword));
  if (limits.length === 0) return schema;
  const rest = Object.entries(schema).filter(
    ([keyword]) => keyword !== 'type' && !LIMITS_OF_TEXT.includes(keyword),
  );
  const limited = { type: 'string', ...Object.fromEntries(limits) };
  return { ...Object.fromEntries(rest), anyOf: [limited, REFERENCE] };
}

function mappingOf({ properties, patternProperties, required, ...rest }: JsonSchema): JsonSchema {
  if (patternProperties !== undefined) {
    const [values] = Object.values(patternProperties as Record<string, JsonSchema>);
    return { ...rest, additionalProperties: asWritten(values ?? {}) };
  }
  const written = Object.entries((properties ?? {}) as Record<string, JsonSchema>).map(
    ([name, field]) => [name, asWritten(field)] as const,
  );
  const needed = requiredOf({ properties, required });
  return {
    ...rest,
    properties: Object.fromEntries(written),
    ...(needed.length === 0 ? {} : { required: needed }),
  };
}

/** What has no default. */
function requiredOf({ properties, required }: JsonSchema): readonly string[] {
  const fields = (properties ?? {}) as Record<string, JsonSchema>;
  return ((required ?? []) as string[]).filter((name) => fields[name]?.default === undefined);
}
