/** JSON Schemas of messages, as the admin API reads and writes them in JSON (the JSON mapping of Protocol Buffers). */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

/** A JSON Schema, or a part of one. */
export interface JsonSchema {
  [keyword: string]: unknown;
}

/** Says what a declaration is for. */
export type Describe = (declaration: DescMessage | DescField) => string;

/** Messages whose JSON is not an object of their fields. */
const WELL_KNOWN: Readonly<Record<string, JsonSchema>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': {
    type: 'string',
    pattern: '^-?[0-9]+(\\.[0-9]{1,9})?s$',
    examples: ['30s', '0.5s'],
  },
  'google.protobuf.Struct': { type: 'object', additionalProperties: true },
  'google.protobuf.Value': {},
};

/** Numbers of 64 bits are texts, for no JSON number holds all of them. */
const SCALARS: Readonly<Record<number, JsonSchema>> = {
  [ScalarType.STRING]: { type: 'string' },
  [ScalarType.BOOL]: { type: 'boolean' },
  [ScalarType.BYTES]: { type: 'string', contentEncoding: 'base64' },
  [ScalarType.DOUBLE]: { type: 'number' },
  [ScalarType.FLOAT]: { type: 'number' },
  [ScalarType.UINT32]: { type: 'integer', minimum: 0, maximum: 4_294_967_295 },
  [ScalarType.INT32]: { type: 'integer', minimum: -2_147_483_648, maximum: 2_147_483_647 },
  [ScalarType.UINT64]: { type: 'string', pattern: '^[0-9]{1,20}$' },
  [ScalarType.INT64]: { type: 'string', pattern: '^-?[0-9]{1,19}$' },
};

/** The schemas that an API speaks of, each under the name of its message. */
export class MessageSchemas {
  private readonly messages = new Map<string, DescMessage>();
  private readonly schemas = new Map<string, JsonSchema>();

  constructor(private readonly describe: Describe) {}

  /** @throws TypeError for two messages of one name */
  reference(message: DescMessage): JsonSchema {
    const wellKnown = WELL_KNOWN[message.typeName];
    if (wellKnown !== undefined) return { ...wellKnown };
    const known = this.messages.get(message.name);
    if (known !== undefined && known !== message)
      throw new TypeError(`${known.typeName} and ${message.typeName} have one name`);
    if (known === undefined) {
      this.messages.set(message.name, message);
      this.schemas.set(message.name, this.objectOf(message));
    }
    return { $ref: `#/components/schemas/${message.name}` };
  }

  field(field: DescField): JsonSchema {
    const description = this.describe(field);
    const choice = field.oneof === undefined ? '' : `One of the \`${field.oneof.name}\`. `;
    return { ...this.shape(field), ...(description !== '' && { description: choice + description }) };
  }

  /** By name. */
  all(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries([...this.schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  private objectOf(message: DescMessage): JsonSchema {
    const description = this.describe(message);
    return {
      type: 'object',
      ...(description !== '' && { description }),
      properties: Object.fromEntries(message.fields.map((field) => [field.name, this.field(field)])),
      additionalProperties: false,
    };
  }

  private shape(field: DescField): JsonSchema {
    switch (field.fieldKind) {
      case 'scalar':
        return { ...scalar(field.scalar) };
      case 'enum':
        return { type: 'string', enum: field.enum.values.map(({ name }) => name) };
      case 'message':
        return this.reference(field.message);
      case 'list':
        return { type: 'array', items: this.element(field) };
      case 'map':
        return { type: 'object', additionalProperties: this.element(field) };
    }
  }

  private element(field: DescField & { fieldKind: 'list' | 'map' }): JsonSchema {
    if (field.message !== undefined) return this.reference(field.message);
    if (field.enum !== undefined) return { type: 'string', enum: field.enum.values.map(({ name }) => name) };
    return { ...scalar(field.scalar as ScalarType) };
  }
}

function scalar(type: ScalarType): JsonSchema {
  const schema = SCALARS[type];
  if (schema === undefined) throw new TypeError(`nobody has said how ${ScalarType[type]} is written in JSON`);
  return schema;
}
