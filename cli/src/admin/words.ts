/** The words of files in the place of the names that the protobuf JSON mapping has for the values of enumerations. */
import type { DescEnum, DescField, DescMessage, JsonObject, JsonValue } from '@bufbuild/protobuf';
import { enumWords } from '@sluice/proto';

const WELL_KNOWN = /^google\.protobuf\./;

/** The same message with `modern` for `ERA_MODERN`. */
export function inWords(schema: DescMessage, json: JsonObject): JsonObject {
  if (WELL_KNOWN.test(schema.typeName)) return json;
  const fields = new Map(schema.fields.map((field) => [field.name, field]));
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => {
      const field = fields.get(name);
      return [name, field === undefined ? value : valueInWords(field, value)];
    }),
  );
}

function valueInWords({ message, enum: words }: DescField, value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map((item) => oneInWords(message, words, item));
  return oneInWords(message, words, value);
}

function oneInWords(
  message: DescMessage | undefined,
  words: DescEnum | undefined,
  value: JsonValue,
): JsonValue {
  if (words !== undefined) return [...enumWords(words)].find(([, { name }]) => name === value)?.[0] ?? value;
  const isMessage = message !== undefined && typeof value === 'object' && value !== null;
  return isMessage && !Array.isArray(value) ? inWords(message, value) : value;
}
