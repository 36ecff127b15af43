import { extname } from 'node:path';
import { looksLikeJson, parseJson } from './parse-json.js';
import { parseToml } from './parse-toml.js';
import { parseYaml, parseYamlDocuments } from './parse-yaml.js';
import type { ParsedSource } from './source-tree.js';

/** Formats that a configuration file can have. */
export type SourceFormat = 'yaml' | 'json' | 'toml';

const FORMATS: Readonly<Record<string, SourceFormat>> = {
  '.yaml': 'yaml',
  '.yml': 'yaml',
  '.json': 'json',
  '.toml': 'toml',
};

/** The format that the name of a file says, or `undefined` when it says nothing. */
export function formatOfFile(file: string): SourceFormat | undefined {
  return FORMATS[extname(file).toLowerCase()];
}

/** Reads a text in the given format, or in the one that it turns out to have. */
export function parseSource(text: string, format?: SourceFormat): ParsedSource {
  const content = text.startsWith('\ufeff') ? text.slice(1) : text;
  switch (format) {
    case 'toml':
      return parseToml(content);
    case 'yaml':
      return parseYaml(content, format);
    case 'json':
      return parseJson(content);
    default:
      return parseUnknown(content);
  }
}

/** As {@link parseSource}, where YAML may have many documents. */
export function parseSources(text: string, format?: SourceFormat): readonly ParsedSource[] {
  const content = text.startsWith('\ufeff') ? text.slice(1) : text;
  const isYaml = format === 'yaml' || (format === undefined && /^---(?:\s|$)/m.test(content));
  return isYaml ? parseYamlDocuments(content) : [parseSource(content, format)];
}

/** TOML goes before YAML, because almost no YAML is valid TOML while `a = "b: c"` is a mapping in YAML. */
function parseUnknown(text: string): ParsedSource {
  if (looksLikeJson(text)) return parseJson(text);
  const toml = parseToml(text);
  if ('root' in toml) return toml;
  return looksLikeToml(text) ? toml : parseYaml(text, 'yaml');
}

/** Decides whose complaint is worth reading when neither reads the text. */
function looksLikeToml(text: string): boolean {
  return /^\s*(?:[\w.-]+\s*=|\[[\w.[\]"-]+\]\s*(?:#.*)?$)/m.test(text) && !/^[\w.-]+:(?:\s|$)/m.test(text);
}
