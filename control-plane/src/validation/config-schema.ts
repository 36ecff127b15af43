/** What the schema of a plugin's configuration says of one of its values. */

/** As much of JSON Schema as is looked at here. */
export interface ConfigSchema {
  /** The value is a secret. */
  readonly writeOnly?: boolean;
  /** The text is a pattern `upstream:name`. */
  readonly targetPattern?: boolean;
  readonly properties?: Readonly<Record<string, ConfigSchema>>;
  readonly patternProperties?: Readonly<Record<string, ConfigSchema>>;
  readonly propertyNames?: ConfigSchema;
  readonly items?: ConfigSchema;
  readonly anyOf?: readonly ConfigSchema[];
}

/** A schema and, where it has several forms, those of all of them. */
export function formsOf(schema: ConfigSchema): readonly ConfigSchema[] {
  return [schema, ...(schema.anyOf ?? []).flatMap(formsOf)];
}

/** What is said of the member of an object. */
export function schemasOfMember(schemas: readonly ConfigSchema[], name: string): readonly ConfigSchema[] {
  return schemas.flatMap(formsOf).flatMap(({ properties, patternProperties }) => {
    const own = properties !== undefined && Object.hasOwn(properties, name) ? [properties[name]] : [];
    return [...own, ...Object.values(patternProperties ?? {})].filter((each) => each !== undefined);
  });
}

/** What is said of each entry of a list. */
export function schemasOfItems(schemas: readonly ConfigSchema[]): readonly ConfigSchema[] {
  return schemas.flatMap(formsOf).flatMap(({ items }) => (items === undefined ? [] : [items]));
}
