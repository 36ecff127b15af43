import { parse, TomlDate, TomlError } from 'smol-toml';
import {
  MAX_NESTING_DEPTH,
  MAX_NODE_COUNT,
  type ParsedSource,
  type Position,
  type SourceNode,
  SyntaxFailure,
  tooDeep,
  tooMany,
} from './source-tree.js';
import { locateTomlValues, type TomlPlace, tomlPlaceKey } from './toml-positions.js';

/** Reads TOML 1.0. */
export function parseToml(text: string): ParsedSource {
  try {
    const value = parse(text);
    return { root: new TreeBuilder(locateTomlValues(text)).build(value, [], { line: 1, column: 1 }) };
  } catch (error) {
    if (error instanceof SyntaxFailure) return { problems: [error.problem] };
    if (error instanceof TomlError) return { problems: [describe(error)] };
    throw error;
  }
}

/** Only the first line: what follows quotes the file, and what stands there may be a secret. */
function describe(error: TomlError) {
  const message = (error.message.split('\n')[0] as string).replace('Invalid TOML document: ', '');
  return {
    position: { line: error.line, column: error.column },
    message: `not valid TOML: ${message}`,
    hint: 'texts stand in quotes, each `key = value` on a line of its own, and each key only once',
  };
}

class TreeBuilder {
  private nodeCount = 0;

  constructor(private readonly places: ReadonlyMap<string, TomlPlace>) {}

  build(value: unknown, path: (string | number)[], inherited: Position): SourceNode {
    const place = this.places.get(tomlPlaceKey(path));
    const position = place?.value ?? inherited;
    if (path.length > MAX_NESTING_DEPTH) throw new SyntaxFailure(tooDeep(position));
    if (++this.nodeCount > MAX_NODE_COUNT) throw new SyntaxFailure(tooMany(position));
    if (Array.isArray(value)) {
      const items = value.map((item, index) => this.build(item, [...path, index], position));
      return { kind: 'list', items, position };
    }
    const raw = place?.raw ?? '';
    if (value instanceof TomlDate) return { kind: 'scalar', value: raw, raw, position };
    if (typeof value === 'object' && value !== null) {
      const entries = Object.entries(value).map(([key, child]) => {
        const childPath = [...path, key];
        const keyPosition = this.places.get(tomlPlaceKey(childPath))?.key ?? position;
        return { key, keyPosition, value: this.build(child, childPath, keyPosition) };
      });
      return { kind: 'mapping', entries, position };
    }
    return { kind: 'scalar', value: value as string | number | boolean, raw, position };
  }
}
