/**
 * Says whether a URI can be an expansion of a URI template (RFC 6570), to find the upstream it belongs to.
 *
 * The expressions `{x}`, `{+x}`, `{#x}`, `{.x}`, `{/x}`, `{;x}`, `{?x,y}` and `{&x}` are told apart by how they
 * begin and which characters they cannot hold; the upstream reads the values. No regular expression is made
 * from a template: the work is at most the product of two of the limits below.
 */

/** Longer templates are listed but match nothing. */
const MAX_TEMPLATE_CHARS = 1_024;
/** So are templates with more expressions. */
const MAX_EXPRESSIONS = 10;
/** Longer URIs match nothing. */
const MAX_URI_CHARS = 2_048;

interface Expression {
  /** What an expansion begins with unless it is empty. */
  readonly first: string;
  /** Characters that no expansion holds after `first`. */
  readonly excluded: string;
}

type Part = string | Expression;

/** A compiled template. */
export type UriTemplate = readonly Part[];

const EXPRESSIONS: Readonly<Record<string, Expression>> = {
  '': { first: '', excluded: '/?#' },
  '+': { first: '', excluded: '' },
  '#': { first: '#', excluded: '' },
  '.': { first: '.', excluded: '/?#' },
  '/': { first: '/', excluded: '?#' },
  ';': { first: ';', excluded: '/?#' },
  '?': { first: '?', excluded: '#' },
  '&': { first: '&', excluded: '#' },
};

/** Undefined when the template is malformed (a brace that is not closed, an empty expression) or too large. */
export function compileUriTemplate(template: string): UriTemplate | undefined {
  if (template.length > MAX_TEMPLATE_CHARS) return undefined;
  const parts: Part[] = [];
  for (let at = 0; at < template.length; ) {
    const open = template.indexOf('{', at);
    const literal = template.slice(at, open < 0 ? undefined : open);
    if (literal.includes('}')) return undefined;
    if (literal !== '') parts.push(literal);
    if (open < 0) break;
    const close = template.indexOf('}', open);
    const body = template.slice(open + 1, close);
    const operator = /^[+#./;?&]/.exec(body)?.[0] ?? '';
    const expression = EXPRESSIONS[operator];
    if (close < 0 || body === operator || body.includes('{') || !expression) return undefined;
    parts.push(expression);
    at = close + 1;
  }
  return parts.filter((part) => typeof part !== 'string').length > MAX_EXPRESSIONS ? undefined : parts;
}

export function matchesUriTemplate(template: UriTemplate, uri: string): boolean {
  if (uri.length > MAX_URI_CHARS) return false;
  const [start] = template;
  if (typeof start === 'string' && !uri.startsWith(start)) return false;
  // Marks every position of the URI that the parts so far can have reached.
  let reached = new Uint8Array(uri.length + 1);
  reached[0] = 1;
  for (const part of template) {
    reached =
      typeof part === 'string' ? afterLiteral(part, uri, reached) : afterExpression(part, uri, reached);
    if (!reached.includes(1)) return false;
  }
  return reached[uri.length] === 1;
}

function afterLiteral(literal: string, uri: string, reached: Uint8Array): Uint8Array<ArrayBuffer> {
  const after = new Uint8Array(reached.length);
  for (let at = 0; at + literal.length <= uri.length; at++) {
    if (reached[at] === 1 && uri.startsWith(literal, at)) after[at + literal.length] = 1;
  }
  return after;
}

function afterExpression(expression: Expression, uri: string, reached: Uint8Array): Uint8Array<ArrayBuffer> {
  const { first, excluded } = expression;
  const after = Uint8Array.from(reached);
  let inside = false;
  for (let at = 0; at <= uri.length; at++) {
    const begin = at - first.length;
    if (reached[begin] === 1 && uri.startsWith(first, begin)) inside = true;
    if (!inside) continue;
    after[at] = 1;
    if (excluded.includes(uri.charAt(at))) inside = false;
  }
  return after;
}
