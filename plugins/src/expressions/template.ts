/** Texts with expressions in them: `tenant {{principal.tenant}}`. */
import type { Json } from '@sluice/sdk';
import { type Compiled, compileExpression, type Expression, NoValue } from './expression.js';
import type { Scope } from './scope.js';

export interface Template {
  readonly reads: readonly string[];
  readonly locals: readonly string[];
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  /** True without any expression: its text is always the same. */
  readonly isConstant: boolean;
  /**
   * @param shown makes what stands for a value of each; by default that is the value itself
   * @throws NoValue when one of the expressions gives no text, number or truth value.
   */
  text(ctx: Scope, locals: Scope, shown?: (value: string) => string): string;
}

const OPEN = '{{';
const CLOSE = '}}';

/** An expression ends at the first `}}`; to write two braces, `{{"{{"}}`. */
export function compileTemplate(source: string, locals: readonly string[] = []): Compiled<Template> {
  const parts: (string | Expression)[] = [];
  let from = 0;
  for (;;) {
    const open = source.indexOf(OPEN, from);
    if (open === -1) break;
    const close = source.indexOf(CLOSE, open + OPEN.length);
    if (close === -1) return { ok: false, problem: `has ${OPEN} without ${CLOSE} behind it` };
    const inner = source.slice(open + OPEN.length, close);
    const compiled = compileExpression(inner, locals);
    if (!compiled.ok) return { ok: false, problem: `${OPEN}${inner}${CLOSE} ${compiled.problem}` };
    parts.push(source.slice(from, open), compiled.it);
    from = close + CLOSE.length;
  }
  parts.push(source.slice(from));
  const expressions = parts.filter((part): part is Expression => typeof part !== 'string');
  return {
    ok: true,
    it: {
      reads: expressions.flatMap(({ reads }) => reads),
      locals: expressions.flatMap((expression) => expression.locals),
      paths: expressions.flatMap(({ paths }) => paths),
      patterns: expressions.flatMap(({ patterns }) => patterns),
      isConstant: expressions.length === 0,
      text(ctx, own, shown = asItIs) {
        let text = '';
        for (const part of parts)
          text += typeof part === 'string' ? part : shown(textOf(part.value(ctx, own)));
        return text;
      },
    },
  };
}

function asItIs(value: string): string {
  return value;
}

function textOf(value: Json): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new NoValue(`${value === null ? 'nothing' : 'a list or an object'} stands where a text is wanted`);
}
