/**
 * Conditions, taken apart where `&&`, `||`, `!` and `?:` hold their parts together. What a part says may not be known
 * yet, as of the arguments of a call that has not been made, so what comes out is a set of what may come out.
 */
import { Environment, serialize } from '@marcbachmann/cel-js';
import { type Compiled, compileExpression, type Expression } from './expression.js';
import { NoValue, TooLong } from './functions.js';
import type { Scope } from './scope.js';

/** A set of what a condition may say, as bits. An error is what CEL absorbs in `false && error`. */
export const TRUE = 1;
export const FALSE = 2;
export const ERROR = 4;
export const ANYTHING = TRUE | FALSE | ERROR;

export type Node =
  | { readonly is: 'part'; readonly part: Part }
  | { readonly is: 'not'; readonly of: Node }
  | { readonly is: 'and' | 'or'; readonly left: Node; readonly right: Node }
  | { readonly is: 'if'; readonly condition: Node; readonly then: Node; readonly otherwise: Node };

/** What stands between the operators that hold a condition together. */
export interface Part {
  readonly text: string;
  readonly expression: Expression;
}

export interface Condition {
  readonly reads: readonly string[];
  readonly locals: readonly string[];
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly tree: Node;
}

/** Has the answer of a part, and may note it. */
export type Ask = (part: Part) => number;

/** @param locals see {@link compileExpression} */
export function compileCondition(source: string, locals: readonly string[]): Compiled<Condition> {
  const whole = compileExpression(source, locals);
  if (!whole.ok) return whole;
  const { reads, locals: used, paths, patterns, type } = whole.it;
  if (type !== 'bool' && type !== 'dyn')
    return { ok: false, problem: `gives a ${type}, and not true or false` };
  const problems: string[] = [];
  const tree = nodeOf(PARSER.parse(source).ast as unknown as Tree, (text) => {
    const part = compileExpression(text, locals);
    if (part.ok) return { is: 'part', part: { text, expression: part.it } };
    problems.push(part.problem);
    return { is: 'part', part: { text, expression: whole.it } };
  });
  const [problem] = problems;
  if (problem !== undefined) return { ok: false, problem };
  return { ok: true, it: { reads, locals: used, paths, patterns, tree } };
}

/** It checks nothing: the whole has been checked before. */
const PARSER = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });

interface Tree {
  readonly op: string;
  readonly args: unknown;
}

function nodeOf(tree: Tree, partOf: (text: string) => Node): Node {
  const of = (each: unknown) => nodeOf(each as Tree, partOf);
  const { op, args } = tree;
  const list = args as unknown[];
  if (op === '&&') return { is: 'and', left: of(list[0]), right: of(list[1]) };
  if (op === '||') return { is: 'or', left: of(list[0]), right: of(list[1]) };
  if (op === '!_') return { is: 'not', of: of(Array.isArray(args) ? args[0] : args) };
  if (op === '?:') return { is: 'if', condition: of(list[0]), then: of(list[1]), otherwise: of(list[2]) };
  return partOf(serialize(tree as never));
}

/**
 * What a part says of a scope that was built for all that the part reads.
 *
 * @throws TooLong
 */
export function answerOf({ expression }: Part, scope: Scope): number {
  try {
    return expression.holdsIn(scope) ? TRUE : FALSE;
  } catch (error) {
    if (error instanceof NoValue && !(error instanceof TooLong)) return ERROR;
    throw error;
  }
}

/** All that may come out of a condition. Parts that cannot matter any more are not asked. */
export function outcomes(node: Node, ask: Ask): number {
  switch (node.is) {
    case 'part':
      return ask(node.part);
    case 'not':
      return swapped(outcomes(node.of, ask));
    case 'or': {
      const left = outcomes(node.left, ask);
      return left === TRUE ? TRUE : either(left, outcomes(node.right, ask));
    }
    case 'and': {
      const left = outcomes(node.left, ask);
      if (left === FALSE) return FALSE;
      return swapped(either(swapped(left), swapped(outcomes(node.right, ask))));
    }
    case 'if': {
      const condition = outcomes(node.condition, ask);
      let all = condition & ERROR;
      if ((condition & TRUE) !== 0) all |= outcomes(node.then, ask);
      if ((condition & FALSE) !== 0) all |= outcomes(node.otherwise, ask);
      return all;
    }
  }
}

function swapped(set: number): number {
  return (set & ERROR) | ((set & TRUE) !== 0 ? FALSE : 0) | ((set & FALSE) !== 0 ? TRUE : 0);
}

/** True where one of them may be; false where both may be; an error where one may be and the other is not true. */
function either(left: number, right: number): number {
  let all = (left | right) & TRUE;
  if ((left & right & FALSE) !== 0) all |= FALSE;
  const isLeft = (left & ERROR) !== 0 && (right & (FALSE | ERROR)) !== 0;
  const isRight = (right & ERROR) !== 0 && (left & (FALSE | ERROR)) !== 0;
  return isLeft || isRight ? all | ERROR : all;
}
