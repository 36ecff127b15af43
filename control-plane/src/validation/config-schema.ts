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

/**
 * The patterns `upstream:name` in a configuration, with their paths below that of the value.
 *
 * @param schemas all that is said of the value
 */
export function targetPatterns(
  value: unknown,
  schemas: readonly ConfigSchema[],
  path: string,
): readonly { readonly path: string; readonly pattern: string }[] {
  const forms = schemas.flatMap(formsOf);
  if (typeof value === 'string')
    return forms.some(({ targetPattern }) => targetPattern) ? [{ path, pattern: value }] : [];
  if (Array.isArray(value))
    return value.flatMap((item, index) => targetPatterns(item, schemasOfItems(schemas), `${path}[${index}]`));
  if (typeof value !== 'object' || value === null) return [];
  const namesArePatterns = forms.some(({ propertyNames }) => propertyNames?.targetPattern);
  return Object.entries(value).flatMap(([name, member]) => {
    const own = `${path}.${name}`;
    const inside = targetPatterns(member, schemasOfMember(schemas, name), own);
    return namesArePatterns ? [{ path: own, pattern: name }, ...inside] : inside;
  });
}
