import { type DescMessage, type JsonObject, type Message, toJson } from '@bufbuild/protobuf';

/** With the field names of the schema, as files of configuration have them; an empty list is there, as an empty one. */
export function responseJson(schema: DescMessage, message: Message): string {
  const json = toJson(schema, message as never, { useProtoFieldName: true }) as JsonObject;
  for (const { fieldKind, name } of schema.fields) if (fieldKind === 'list') json[name] ??= [];
  return JSON.stringify(json);
}
