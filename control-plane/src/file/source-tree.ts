/** A place in a source text; the first line and the first column are 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A value as it stands in a file, whatever the format, with where it stands. */
export type SourceNode = ScalarNode | ListNode | MappingNode;

/** A single value. */
export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | bigint | boolean | null;
  /** As written, quotes included. */
  readonly raw: string;
  readonly position: Position;
}

/** A sequence of values. */
interface ListNode {
  readonly kind: 'list';
  readonly items: readonly SourceNode[];
  readonly position: Position;
}

/** Values by key, in the order of the file. */
export interface MappingNode {
  readonly kind: 'mapping';
  readonly entries: readonly MappingEntry[];
  readonly position: Position;
}

/** One key of a mapping. */
export interface MappingEntry {
  readonly key: string;
  readonly keyPosition: Position;
  readonly value: SourceNode;
}

/** Why a text could not be read at all. */
export interface SyntaxProblem {
  readonly position: Position;
  readonly message: string;
  readonly hint: string;
}

/** What a parser makes of a text: a tree, or the reasons why not. */
export type ParsedSource = { readonly root: SourceNode } | { readonly problems: readonly SyntaxProblem[] };

/** The schema nests five deep; what desktop clients add of their own nests a little deeper. */
export const MAX_NESTING_DEPTH = 32;

/** A thousand upstreams with fifty values each, twice over. Aliases count each time they are used. */
export const MAX_NODE_COUNT = 100_000;

/** Problem of a text that nests deeper than {@link MAX_NESTING_DEPTH}. */
export function tooDeep(position: Position): SyntaxProblem {
  return {
    position,
    message: `nested more than ${MAX_NESTING_DEPTH} levels deep`,
    hint: 'a configuration needs no more than a handful of levels',
  };
}

/** Problem of a text that holds more than {@link MAX_NODE_COUNT} values. */
export function tooMany(position: Position): SyntaxProblem {
  return {
    position,
    message: `more than ${MAX_NODE_COUNT} values, counting what aliases repeat`,
    hint: 'split the upstreams over several gateways, or repeat less through aliases',
  };
}

/** Thrown inside a parser to end it at the first problem that leaves nothing to go on with. */
export class SyntaxFailure extends Error {
  constructor(readonly problem: SyntaxProblem) {
    super(problem.message);
  }
}
