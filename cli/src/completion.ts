/** Scripts with which shells complete the command line, made from its definition. */
import { KIND_WORDS } from '@sluice/proto/cluster';
import type { Argument, Command, Option } from 'commander';
import { pathOf } from './command-line.js';
import type { Shell } from './completion-command-line.js';

/** Where a value comes from that is completed. */
type Source = { readonly words: readonly string[] } | 'file' | 'resource' | 'node' | 'anything';

interface CompletedOption {
  /** `-o` and `--output`. */
  readonly names: readonly string[];
  readonly meaning: string;
  /** Undefined for one without a value. */
  readonly value: Source | undefined;
}

interface CompletedCommand {
  /** Without `sluice`; empty for the whole. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly meaning: string }[];
  readonly options: readonly CompletedOption[];
  readonly argument: Source;
}

/** Names are asked of the control plane with these. */
const ASK_RESOURCES = 'sluice config get -o name --timeout 1s 2>/dev/null';
const ASK_NODES = 'sluice nodes list -o name --timeout 1s 2>/dev/null';

export function completionScript(program: Command, shell: Shell): string {
  const commands = completedCommands(program);
  const lines = { bash: bashLines, zsh: zshLines, fish: fishLines }[shell](commands);
  return `${lines.join('\n')}\n`;
}

function completedCommands(command: Command): CompletedCommand[] {
  const options = [...command.options, ...helpOptions(command)];
  return [
    {
      path: command.parent === null ? '' : pathOf(command),
      commands: command.commands.map((each) => ({ name: each.name(), meaning: each.summary() })),
      options: options.map(completedOption),
      argument: sourceOfArgument(command.registeredArguments[0]),
    },
    ...command.commands.flatMap(completedCommands),
  ];
}

function helpOptions(command: Command): Option[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .filter((option) => option.long === '--help');
}

function completedOption(option: Option): CompletedOption {
  const { short, long, description, argChoices, flags } = option;
  const takesValue = option.required || option.optional;
  return {
    names: [short, long].filter((name) => name !== undefined),
    meaning: description,
    value: takesValue ? sourceOf(/[<[](.+?)[>\]]/.exec(flags)?.[1] ?? '', argChoices) : undefined,
  };
}

function sourceOfArgument(argument: Argument | undefined): Source {
  return argument === undefined ? 'anything' : sourceOf(argument.name(), argument.argChoices);
}

function sourceOf(name: string, choices: readonly string[] | undefined): Source {
  if (choices !== undefined) return { words: choices };
  if (name === 'kind') return { words: KIND_WORDS };
  if (name === 'kind/name') return 'resource';
  if (name === 'node') return 'node';
  return ['file', 'path', 'folder'].includes(name) ? 'file' : 'anything';
}

/** What finds the command that the words before the cursor name, for shells that have arrays and `case`. */
function commandCases(commands: readonly CompletedCommand[]): string[] {
  const pairs = commands.flatMap(({ path, commands: below }) => below.map(({ name }) => `'${path} ${name}'`));
  return [`      ${pairs.join('|')})`, '        command="${command:+$command }$word" ;;'];
}

const BASH_SOURCES = {
  file: 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$current"))',
  resource: `_sluice_names < <(${ASK_RESOURCES})`,
  node: `_sluice_names < <(${ASK_NODES})`,
  anything: ':',
} as const;

function bashLines(commands: readonly CompletedCommand[]): string[] {
  const complete = (source: Source) =>
    typeof source === 'string' ? BASH_SOURCES[source] : bashWords(source.words);
  const bashWords = (words: readonly string[]) =>
    `COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$current"))`;
  return [
    '# Completion of sluice for bash: source <(sluice completion bash)',
    // What is completed goes onto a command line: no name from elsewhere may be more than a name there.
    '_sluice_names() {',
    '  local name',
    '  while IFS= read -r name; do',
    '    [[ $name == "$current"* && $name =~ ^[A-Za-z0-9._/@:+-]+$ ]] && COMPREPLY+=("$name")',
    '  done',
    '}',
    '_sluice() {',
    '  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= word',
    '  COMPREPLY=()',
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    case "$command $word" in',
    ...commandCases(commands),
    '    esac',
    '  done',
    '  case "$command $previous" in',
    ...optionCases(commands, complete),
    '  esac',
    '  if [[ $current == -* ]]; then',
    '    case $command in',
    ...commands.map(
      ({ path, options }) => `      '${path}') ${bashWords(options.flatMap(({ names }) => names))} ;;`,
    ),
    '    esac',
    '    return',
    '  fi',
    '  case $command in',
    ...commands.map(({ path, commands: below, argument }) => {
      const names = below.map(({ name }) => name);
      return `    '${path}') ${names.length > 0 ? bashWords(names) : complete(argument)} ;;`;
    }),
    '  esac',
    '}',
    'complete -F _sluice sluice',
  ];
}

/** A case for each option with a value, of each command. */
function optionCases(commands: readonly CompletedCommand[], complete: (source: Source) => string): string[] {
  return commands.flatMap(({ path, options }) =>
    options.flatMap(({ names, value }) => {
      if (value === undefined) return [];
      const patterns = names.map((name) => `'${path} ${name}'`).join('|');
      return [`    ${patterns}) ${complete(value)}; return ;;`];
    }),
  );
}

const ZSH_SOURCES = {
  file: '_files',
  resource: `compadd -- \${(f)"$(${ASK_RESOURCES})"}`,
  node: `compadd -- \${(f)"$(${ASK_NODES})"}`,
  anything: ':',
} as const;

function zshLines(commands: readonly CompletedCommand[]): string[] {
  const complete = (source: Source) =>
    typeof source === 'string' ? ZSH_SOURCES[source] : `compadd -- ${source.words.join(' ')}`;
  const describe = (entries: readonly { readonly name: string; readonly meaning: string }[]) =>
    `values=(${entries.map(({ name, meaning }) => quoted(`${name}:${meaning}`)).join(' ')}); _describe value values`;
  return [
    '#compdef sluice',
    '# Completion of sluice for zsh: sluice completion zsh > "${fpath[1]}/_sluice"',
    '_sluice() {',
    '  local current=$words[CURRENT] previous=$words[CURRENT-1] command= word',
    '  local -a values',
    '  for word in "${(@)words[2,CURRENT-1]}"; do',
    '    case "$command $word" in',
    ...commandCases(commands),
    '    esac',
    '  done',
    '  case "$command $previous" in',
    ...optionCases(commands, complete),
    '  esac',
    '  if [[ $current == -* ]]; then',
    '    case $command in',
    ...commands.map(({ path, options }) => {
      const entries = options.flatMap(({ names, meaning }) => names.map((name) => ({ name, meaning })));
      return `      '${path}') ${describe(entries)} ;;`;
    }),
    '    esac',
    '    return',
    '  fi',
    '  case $command in',
    ...commands.map(
      ({ path, commands: below, argument }) =>
        `    '${path}') ${below.length > 0 ? describe(below) : complete(argument)} ;;`,
    ),
    '  esac',
    '}',
    // As a file of $fpath it is the function; when it is sourced it has to be named.
    'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _sluice "$@"; else compdef _sluice sluice; fi',
  ];
}

const FISH_SOURCES = {
  file: '-F',
  resource: `-f -a '(${ASK_RESOURCES})'`,
  node: `-f -a '(${ASK_NODES})'`,
  anything: '-f',
} as const;

function fishLines(commands: readonly CompletedCommand[]): string[] {
  const pairs = commands.flatMap(({ path, commands: below }) => below.map(({ name }) => `'${path} ${name}'`));
  const complete = (source: Source) =>
    typeof source === 'string' ? FISH_SOURCES[source] : `-f -a '${source.words.join(' ')}'`;
  return [
    '# Completion of sluice for fish: sluice completion fish > ~/.config/fish/completions/sluice.fish',
    'function __sluice_at',
    "  set -l command ''",
    '  for word in (commandline -opc)[2..]',
    `    if contains -- "$command $word" ${pairs.join(' ')}`,
    '      set command (string trim "$command $word")',
    '    end',
    '  end',
    '  test "$command" = "$argv"',
    'end',
    'complete -c sluice -f',
    ...commands.flatMap(({ path, commands: below, options, argument }) => {
      const at = `complete -c sluice -n '__sluice_at ${path}'`;
      return [
        ...below.map(({ name, meaning }) => `${at} -f -a ${name} -d ${quoted(meaning)}`),
        ...(below.length > 0 ? [] : [`${at} ${complete(argument)}`]),
        ...options.map(({ names, meaning, value }) => {
          const flags = names.map((name) =>
            name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
          );
          const takes = value === undefined ? '' : ` -r ${complete(value)}`;
          return `${at} ${flags.join(' ')}${takes} -d ${quoted(meaning)}`;
        }),
      ];
    }),
  ];
}

/** A text as one word of a shell, in which nothing is read. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}
