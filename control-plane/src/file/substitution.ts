/** Outcome of {@link substitute}: the text, or what keeps it from being one, with where in the input. */
export type Substituted =
  | { readonly text: string; readonly variables: readonly string[] }
  | { readonly offset: number; readonly message: string; readonly hint: string };

/** `$${`, or `${NAME}` and `${NAME:-default}`, or the beginning of something that is neither. */
const REFERENCE = /\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-((?:(?!\$\{)[^}])*))?\})?/g;

/**
 * Puts variables of the environment into a text: `${NAME}` is the variable's value, `${NAME:-default}` the
 * default where the variable is unset or empty, and `$${` is a literal `${`. What is put in is not read again.
 *
 * @param mayBeSecret no default is proposed for a variable that is not set
 */
export function substitute(
  input: string,
  environment: Readonly<Record<string, string | undefined>>,
  mayBeSecret = false,
): Substituted {
  const variables: string[] = [];
  let text = '';
  let end = 0;
  for (const match of input.matchAll(REFERENCE)) {
    const [whole, name, fallback] = match;
    text += input.slice(end, match.index);
    end = match.index + whole.length;
    if (whole === '$${') {
      text += '${';
      continue;
    }
    if (name === undefined) return malformed(match.index);
    variables.push(name);
    const value = environment[name];
    if (value === undefined && fallback === undefined) return unset(match.index, name, mayBeSecret);
    text += fallback !== undefined && (value === undefined || value === '') ? fallback : value;
  }
  return { text: text + input.slice(end), variables };
}

function malformed(offset: number): Substituted {
  return {
    offset,
    message: '`${` does not begin a reference to a variable',
    hint: 'write ${NAME} or ${NAME:-default}, where the default holds no other reference, or $${ for a literal ${',
  };
}

function unset(offset: number, name: string, mayBeSecret: boolean): Substituted {
  return {
    offset,
    message: `the environment variable ${name} is not set`,
    hint: mayBeSecret
      ? `set it where the gateway is started: ${name}=…`
      : `set it, or give a default: \${${name}:-default}`,
  };
}
