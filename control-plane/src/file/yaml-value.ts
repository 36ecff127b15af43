/** Plain values as YAML 1.2, for what programs wrote and read. */
import { parse, stringify } from 'yaml';

/** Long texts stay on one line, as they were. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}

/** @throws Error for what is no YAML; its message says where */
export function parseYamlValue(text: string): unknown {
  return parse(text, { maxAliasCount: 0 });
}
