import {
  type DescEnum,
  type DescEnumValue,
  type DescField,
  type DescMessage,
  ScalarType,
} from '@bufbuild/protobuf';
import { GATEWAY_DEFAULTS, PLUGIN_DEFAULTS, UPSTREAM_DEFAULTS } from './defaults.js';
import {
  ConfigurationSchema,
  GatewaySchema,
  PluginBindingSchema,
  UpstreamSchema,
} from './gen/sluice/config/v1/config_pb.js';
import { GATEWAY_RANGES, type SettingRange, UPSTREAM_RANGES } from './ranges.js';

/** What a person writes for a setting; `word` is one of those that {@link enumWords} lists. */
export type SettingType =
  | 'text'
  | 'number'
  | 'boolean'
  | 'duration'
  | 'time'
  | 'bytes'
  | 'word'
  | 'list of texts'
  | 'map of texts';

/** One thing that can be configured: a leaf of the schema. */
export interface Setting {
  /** Where it belongs: to the gateway, to each upstream, to each plugin, or to each of another list. */
  readonly scope: 'gateway' | 'upstream' | 'plugin' | 'resource';
  /** Path below the scope in the schema's spelling, for example `listen.port` or `http.url`. */
  readonly path: string;
  /** The fields of the schema along the path. */
  readonly fields: readonly DescField[];
  readonly type: SettingType;
  /** Durations in milliseconds, sizes in bytes; absent when nothing is the default. */
  readonly default?: string | number | readonly string[];
  readonly range?: SettingRange;
  /**
   * Names of its environment variable, the shortest first. For upstreams, `<NAME>` stands for the upstream's
   * name in upper case with `_` for all that is not a letter or digit. Only the shortest may be that of another
   * setting too: one without a transport means that of the transport which the upstream has.
   */
  readonly environmentNames: readonly string[];
}

const DURATION_TYPE = 'google.protobuf.Duration';
const STRUCT_TYPE = 'google.protobuf.Struct';
const TIMESTAMP_TYPE = 'google.protobuf.Timestamp';

/** True for a field that holds what only a plugin knows. */
export function isFreeForm(field: DescField): boolean {
  return field.message?.typeName === STRUCT_TYPE;
}

/** What a person writes for a field of the schema, or `undefined` where it holds further settings. */
export function settingType(field: DescField): SettingType | undefined {
  switch (field.fieldKind) {
    case 'message':
      if (field.message.typeName === TIMESTAMP_TYPE) return 'time';
      return field.message.typeName === DURATION_TYPE ? 'duration' : undefined;
    case 'list':
      return field.listKind === 'message' ? undefined : 'list of texts';
    case 'map':
      return 'map of texts';
    case 'enum':
      return 'word';
    case 'scalar':
      return scalarType(field);
  }
}

function scalarType(field: DescField & { fieldKind: 'scalar' }): SettingType {
  if (field.scalar === ScalarType.BOOL) return 'boolean';
  if (field.scalar === ScalarType.STRING) return 'text';
  return field.name.endsWith('_bytes') ? 'bytes' : 'number';
}

/** Enumerations for which saying nothing has a word. */
const UNSPECIFIED_WORDS: Readonly<Record<string, string>> = {
  'sluice.config.v1.ListenerKind': 'auto',
  'sluice.config.v1.Era': 'auto',
};

/** The lower-case words that a person writes for the values of an enumeration, for example `per_session`. */
export function enumWords(description: DescEnum): ReadonlyMap<string, DescEnumValue> {
  const words = new Map<string, DescEnumValue>();
  for (const value of description.values) {
    const word = value.number === 0 ? UNSPECIFIED_WORDS[description.typeName] : value.localName.toLowerCase();
    if (word !== undefined) words.set(word, value);
  }
  return words;
}

/** Fields that no variable may set: they say which upstream the variable speaks of. */
const UPSTREAM_IDENTITY = new Set(['id', 'name']);

/** Transports that have to be named, since their addresses look like those of another. */
const NAMED_TRANSPORTS = new Set(['sse']);

function collectSettings(scope: Setting['scope'], message: DescMessage, parents: DescField[]): Setting[] {
  return message.fields.flatMap((field) => {
    if (isFreeForm(field)) return [];
    const fields = [...parents, field];
    const type = settingType(field);
    if (type !== undefined) return [makeSetting(scope, fields, type)];
    return field.message === undefined ? [] : collectSettings(scope, field.message, fields);
  });
}

const DEFAULTS = {
  gateway: GATEWAY_DEFAULTS,
  upstream: UPSTREAM_DEFAULTS,
  plugin: PLUGIN_DEFAULTS,
  resource: {},
} as const;

const RANGES: Readonly<Record<Setting['scope'], Readonly<Record<string, SettingRange>>>> = {
  gateway: GATEWAY_RANGES,
  upstream: UPSTREAM_RANGES,
  plugin: {},
  resource: {},
};

function makeSetting(scope: Setting['scope'], fields: DescField[], type: SettingType): Setting {
  const path = fields.map((field) => field.name).join('.');
  const defaults: Readonly<Record<string, string | number | readonly string[]>> = DEFAULTS[scope];
  const range = RANGES[scope][path];
  return {
    scope,
    path,
    fields,
    type,
    ...(path in defaults && { default: defaults[path] }),
    ...(range && { range }),
    environmentNames: environmentNames(scope, fields),
  };
}

function environmentNames(scope: Setting['scope'], fields: DescField[]): string[] {
  const upper = (some: DescField[]) => some.map((field) => field.name.toUpperCase()).join('_');
  if (scope === 'gateway') return [`SLUICE_${upper(fields)}`, `SLUICE_GATEWAY_${upper(fields)}`];
  // A list has no names that variables could speak of; what a plugin needs of them stands in its configuration.
  if (scope === 'plugin' || scope === 'resource') return [];
  if (UPSTREAM_IDENTITY.has(fields[0]?.name ?? '')) return [];
  const prefix = 'SLUICE_UPSTREAMS_<NAME>_';
  const whole = prefix + upper(fields);
  // The settings of a transport may be written directly in the upstream, so their variables may be too.
  return fields.length > 1 && !NAMED_TRANSPORTS.has(fields[0]?.name ?? '')
    ? [prefix + upper(fields.slice(1)), whole]
    : [whole];
}

/** All settings of the gateway itself, in the order of the schema. */
export const GATEWAY_SETTINGS: readonly Setting[] = collectSettings('gateway', GatewaySchema, []);

/** All settings of one upstream, in the order of the schema. */
export const UPSTREAM_SETTINGS: readonly Setting[] = collectSettings('upstream', UpstreamSchema, []);

/** All settings of one use of a plugin but its own configuration, in the order of the schema. */
export const PLUGIN_SETTINGS: readonly Setting[] = collectSettings('plugin', PluginBindingSchema, []);

/** One more list at the top of a configuration, and what each of its members takes. */
export interface ResourceList {
  readonly field: DescField;
  readonly message: DescMessage;
  readonly settings: readonly Setting[];
}

/** Read by themselves: they have shorter forms too. */
const OWN_FORMS = new Set(['gateway', 'upstreams', 'plugins']);

/** The lists that stand in files as they stand in the schema, in its order. */
export const RESOURCE_LISTS: readonly ResourceList[] = ConfigurationSchema.fields.flatMap((field) =>
  field.message === undefined || OWN_FORMS.has(field.name)
    ? []
    : [{ field, message: field.message, settings: collectSettings('resource', field.message, []) }],
);
