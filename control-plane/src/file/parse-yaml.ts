import type { Alias, Document, ErrorCode, Node, Scalar, YAMLError, YAMLMap } from 'yaml';
import { Composer, type CST, isAlias, isMap, isScalar, isSeq, LineCounter, Parser } from 'yaml';
import {
  MAX_NESTING_DEPTH,
  MAX_NODE_COUNT,
  type MappingEntry,
  type ParsedSource,
  type Position,
  type SourceNode,
  SyntaxFailure,
  type SyntaxProblem,
  tooDeep,
  tooMany,
} from './source-tree.js';

/**
 * Reads YAML 1.2, or JSON with positions when `syntax` says so: JSON is a subset, and the parser is then told
 * to take no values that JSON does not have.
 */
export function parseYaml(text: string, syntax: Syntax): ParsedSource {
  return orProblem(() => {
    const { documents, positionAt } = compose(text, syntax);
    const [document, second] = documents;
    if (document === undefined) return { root: emptyScalar({ line: 1, column: 1 }) };
    const problems = complaintsOf(document, syntax, positionAt);
    if (problems.length > 0) return { problems };
    if (second !== undefined) throw new SyntaxFailure(secondDocument(positionAt(second.range[0])));
    return { root: new TreeBuilder(text, positionAt).build(document.contents, 0) };
  });
}

/** Reads YAML 1.2 with any number of documents (section 9.2). */
export function parseYamlDocuments(text: string): readonly ParsedSource[] {
  const composed = orProblem(() => compose(text, 'yaml'));
  if ('problems' in composed) return [composed];
  const { documents, positionAt } = composed;
  return documents.map((document) => {
    const problems = complaintsOf(document, 'yaml', positionAt);
    if (problems.length > 0) return { problems };
    return orProblem(() => ({ root: new TreeBuilder(text, positionAt).build(document.contents, 0) }));
  });
}

type Syntax = 'yaml' | 'json';
type PositionAt = (offset: number) => Position;

function orProblem<T>(read: () => T): T | { problems: readonly SyntaxProblem[] } {
  try {
    return read();
  } catch (error) {
    if (error instanceof SyntaxFailure) return { problems: [error.problem] };
    throw error;
  }
}

function compose(text: string, syntax: Syntax) {
  const lineCounter = new LineCounter();
  const positionAt: PositionAt = (offset) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const tokens = [...new Parser(lineCounter.addNewLine).parse(text)];
  for (const token of tokens) checkDepth(token, positionAt);
  const composer = new Composer({
    prettyErrors: false,
    // Checked here instead: the library compares every key with every other.
    uniqueKeys: false,
    schema: syntax === 'json' ? 'json' : 'core',
  });
  return { documents: [...composer.compose(tokens, true, text.length)], positionAt };
}

function complaintsOf(
  { errors, warnings }: Document.Parsed,
  syntax: Syntax,
  positionAt: PositionAt,
): readonly SyntaxProblem[] {
  return [...errors, ...warnings].map((complaint) => describe(complaint, syntax, positionAt));
}

/** Walks without recursion, because the composer recurses and must not be handed what would end its stack. */
function checkDepth(root: CST.Token, positionAt: (offset: number) => Position): void {
  const pending: [CST.Token, number][] = [[root, 0]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [token, depth] = next;
    if (depth > MAX_NESTING_DEPTH) throw new SyntaxFailure(tooDeep(positionAt(token.offset)));
    if (token.type === 'document' && token.value) pending.push([token.value, depth]);
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) {
      if (key) pending.push([key, depth + 1]);
      if (value) pending.push([value, depth + 1]);
    }
  }
}

class TreeBuilder {
  private nodeCount = 0;
  private readonly anchors = new Map<string, Node>();
  private readonly targets = new Map<Alias, Node>();

  constructor(
    private readonly text: string,
    private readonly positionAt: (offset: number) => Position,
  ) {}

  build(node: Node | null, depth: number, fallback: Position = { line: 1, column: 1 }): SourceNode {
    const position = node?.range ? this.positionAt(node.range[0]) : fallback;
    // The depth is checked once more, because an alias may hold itself.
    if (depth > MAX_NESTING_DEPTH) throw new SyntaxFailure(tooDeep(position));
    if (++this.nodeCount > MAX_NODE_COUNT) throw new SyntaxFailure(tooMany(position));
    if (isAlias(node)) return this.build(this.target(node, position), depth + 1, position);
    if (node?.anchor !== undefined) this.anchors.set(node.anchor, node);
    if (isMap(node)) return { kind: 'mapping', entries: this.entries(node, depth), position };
    if (isSeq(node)) {
      const items = node.items.map((item) => this.build(item as Node | null, depth + 1, position));
      return { kind: 'list', items, position };
    }
    return isScalar(node) ? this.scalar(node, position) : emptyScalar(position);
  }

  /**
   * The node that carries the anchor, as it was when the alias was first met: anchors may be set anew (YAML 1.2
   * section 7.1). Not by the library, which searches the document from its beginning each time.
   */
  private target(alias: Alias, position: Position): Node {
    const target = this.targets.get(alias) ?? this.anchors.get(alias.source);
    if (target === undefined) throw new SyntaxFailure(unknownAlias(position));
    this.targets.set(alias, target);
    return target;
  }

  private entries(map: YAMLMap, depth: number): MappingEntry[] {
    const seen = new Set<string>();
    return map.items.map((pair) => {
      const keyNode = pair.key as Node | null;
      const keyPosition = this.positionAt(keyNode?.range?.[0] ?? map.range?.[0] ?? 0);
      const key = this.key(keyNode, keyPosition);
      if (seen.has(key)) throw new SyntaxFailure(duplicateKey(keyPosition));
      seen.add(key);
      return { key, keyPosition, value: this.build(pair.value as Node | null, depth + 1, keyPosition) };
    });
  }

  private key(node: Node | null, position: Position): string {
    if (isScalar(node)) return typeof node.value === 'string' ? node.value : (node.source ?? '');
    throw new SyntaxFailure({
      position,
      message: 'a key that is not plain text',
      hint: 'write `name: value`, with quotes around the name where it holds special characters',
    });
  }

  private scalar(node: Scalar, position: Position): SourceNode {
    const [start, end] = node.range ?? [0, 0];
    const raw = this.text.slice(start, end);
    const { value } = node;
    const isPlain =
      value === null ||
      typeof value === 'string' ||
      typeof value === 'number' ||
      typeof value === 'bigint' ||
      typeof value === 'boolean';
    return { kind: 'scalar', value: isPlain ? value : raw, raw, position };
  }
}

function emptyScalar(position: Position): SourceNode {
  return { kind: 'scalar', value: null, raw: '', position };
}

function unknownAlias(position: Position): SyntaxProblem {
  return {
    position,
    message: 'an alias (`*…`) of an anchor that does not stand before it',
    hint: 'set the anchor (`&…`) earlier in the file, or put quotes around a text that begins with *',
  };
}

function secondDocument(position: Position): SyntaxProblem {
  return {
    position,
    message: 'a second document begins here',
    hint: 'keep one document in a file: remove the line `---` and what follows, or merge the two',
  };
}

function duplicateKey(position: Position): SyntaxProblem {
  return {
    position,
    message: 'this key stands twice in the same mapping',
    hint: 'remove one of the two; which one counts would be a guess',
  };
}

/** The library's own words where they quote nothing from the file: what stands there may be a secret. */
const OWN_WORDS = new Set<ErrorCode>([
  'BAD_ALIAS',
  'BAD_INDENT',
  'BLOCK_AS_IMPLICIT_KEY',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
]);

const MESSAGES: Partial<Record<ErrorCode, [message: string, hint: string]>> = {
  TAB_AS_INDENT: ['a tab indents this line', 'indent with spaces'],
  TAG_RESOLVE_FAILED: ['a tag (`!…`) that has no meaning here', 'remove the tag'],
  BAD_DQ_ESCAPE: ['an escape that does not exist', 'write `\\\\` for a backslash, or use single quotes'],
  BAD_SCALAR_START: ['a value that begins with a reserved character', 'put quotes around the value'],
  UNEXPECTED_TOKEN: [
    'something stands here that does not belong here',
    'look for a missing quote, comma or bracket before this place',
  ],
};

function describe(
  error: YAMLError,
  syntax: 'yaml' | 'json',
  positionAt: (offset: number) => Position,
): SyntaxProblem {
  const position = positionAt(error.pos[0]);
  if (syntax === 'json' && error.code === 'TAG_RESOLVE_FAILED') {
    const hint = 'write a text in double quotes, a number, true, false or null';
    return { position, message: 'this is not a JSON value', hint };
  }
  const format = syntax === 'json' ? 'JSON' : 'YAML';
  const [message, hint] = MESSAGES[error.code] ?? [
    `not valid ${format}`,
    'look for a missing quote, comma, colon or indentation at or before this place',
  ];
  if (!OWN_WORDS.has(error.code)) return { position, message, hint };
  return { position, message: inOurWords(error.message), hint };
}

/** What the parser says, without the words that only YAML's specification has for braces and brackets. */
function inOurWords(message: string): string {
  return message
    .replace(/flow map( in block collection)?/i, 'what begins with {')
    .replace(/flow sequence( in block collection)?/i, 'what begins with [')
    .replace('flow collection items', 'the entries of a list or mapping')
    .replace(/^./, (first) => first.toLowerCase());
}
