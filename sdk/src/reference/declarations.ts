/**
 * Reads the declarations that the compiler emits (`*.d.ts`): one statement after the other, each with its docstring.
 * Their form is always the same, so that lines and brackets are enough to tell where one ends.
 */

export interface Declaration {
  readonly name: string;
  /** The docstring as text; empty without one. */
  readonly doc: string;
  /** The statement with the docstrings of its members, without `export`, `declare` and what is private. */
  readonly code: string;
}

export interface Member {
  readonly name: string;
  /** `head?(ctx: Ctx): void`, `readonly address: string`. */
  readonly code: string;
  readonly doc: string;
}

interface Statement {
  readonly doc: string;
  readonly code: string;
}

/** The exported declarations of a file by name; a value and a type of one name stand together. */
export function declarationsOf(text: string): ReadonlyMap<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const { doc, code } of statementsOf(text)) {
    const name = /^export (?:declare )?(?:const|class|function|interface|type) (\w+)/.exec(code)?.[1];
    if (name === undefined) continue;
    const own = withoutPrivates(code.replace(/^export (?:declare )?/, ''));
    const before = found.get(name);
    found.set(
      name,
      before === undefined
        ? { name, doc, code: own }
        : { name, doc: [before.doc, doc].filter(Boolean).join(' '), code: `${before.code}\n${own}` },
    );
  }
  return found;
}

/** What the file says of itself. */
export function headComment(text: string): string {
  const [, comment, next] = /^(\/\*\*[\s\S]*?\*\/)\n(\S*)/.exec(text) ?? [];
  return comment !== undefined && (next === 'import' || next?.startsWith('/**')) ? docText(comment) : '';
}

/** The members of an interface, or the entries of an object, in their order. */
export function membersOf({ code }: Declaration): readonly Member[] {
  const inner = code
    .split('\n')
    .slice(1, -1)
    .map((line) => line.replace(/^ {4}/, ''));
  return statementsOf(inner.join('\n')).map((statement) => {
    const one = statement.code.replaceAll(/\s+/g, ' ').replace(/;$/, '');
    const name = /^(?:readonly )?(\w+)/.exec(one)?.[1] ?? '';
    return { name, code: one, doc: statement.doc };
  });
}

/** The names that an entry point passes on, by the file in which each is declared. */
export function exportsOf(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [, names = '', file = ''] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm)) {
    const own = names
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== '');
    found.set(file, [...(found.get(file) ?? []), ...own]);
  }
  return found;
}

function statementsOf(text: string): Statement[] {
  const statements: Statement[] = [];
  let doc = '';
  let comment: string[] = [];
  let lines: string[] = [];
  for (const line of text.split('\n')) {
    if (lines.length === 0 && (comment.length > 0 || line.startsWith('/**'))) {
      comment.push(line);
      if (!line.endsWith('*/')) continue;
      doc = docText(comment.join('\n'));
      comment = [];
      continue;
    }
    if (lines.length === 0 && (line === '' || line.startsWith('//'))) continue;
    lines.push(line);
    if (!isWhole(lines.join('\n'))) continue;
    statements.push({ doc, code: lines.join('\n') });
    doc = '';
    lines = [];
  }
  return statements;
}

function isWhole(code: string): boolean {
  const bare = code.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/'[^']*'|"[^"]*"/g, '');
  const opened = bare.match(/[[({]/g)?.length ?? 0;
  const closed = bare.match(/[\])}]/g)?.length ?? 0;
  return opened === closed && /[;}]$/.test(bare.trimEnd());
}

/** A docstring on one line; `{@link name}` becomes code. */
function docText(comment: string): string {
  return comment
    .replaceAll(/^\/\*\*|\*\/$/g, '')
    .replaceAll(/^\s*\* ?/gm, '')
    .replaceAll(/```[\s\S]*?```/g, '')
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll(/@throws (\w+)/g, 'Throws a $1')
    .replaceAll(/@param (\w+)/g, '`$1`:')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function withoutPrivates(code: string): string {
  return code.replaceAll(/^ {4}(?:\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n {4})?private .*\n/gm, '');
}
