/** Programs inside of arguments. */
import { type RuleSet, rule } from './rule.js';

export const code: RuleSet = {
  name: 'code',
  rules: [
    rule(
      'code-eval',
      'code that runs a text as code',
      /\b(?:eval|exec|execfile|Function|setTimeout|setInterval|assert|create_function|compile|instance_eval|class_eval)\s{0,4}\(\s{0,4}["'`$a-z_]/,
      ['eval("x")', "exec('import os')", 'new Function("return 1")', 'compile(x, "", "exec")'],
      ['evaluate (x)', 'the executive', 'retrieval("x")'],
    ),
    rule(
      'code-process',
      'code that starts programs',
      /\bchild_process\b|\bsubprocess\s{0,4}\.\s{0,4}(?:run|call|Popen|check_output|getoutput)|\bos\s{0,4}\.\s{0,4}(?:system|popen|exec[lv]p?e?|spawn[lv]?p?e?)\s{0,4}\(|\bgetRuntime\s{0,4}\(\s{0,4}\)|\bProcessBuilder\b|\bProcess\.Start\b|\b(?:shell_exec|passthru|proc_open|popen|pcntl_exec)\s{0,4}\(|\bexec\.Command\s{0,4}\(|\bKernel\.(?:system|exec|spawn)\b|\bexecSync\s{0,4}\(|\bspawnSync?\s{0,4}\(/,
      [
        "require('child_process')",
        "os.system('id')",
        'subprocess.run(["id"])',
        'Runtime.getRuntime().exec("id")',
        "shell_exec('id')",
      ],
      ['the process of os', 'operating systems'],
    ),
    rule(
      'code-import',
      'code that loads modules by name',
      /\b__import__\s{0,4}\(|\bimportlib\s{0,4}\.|\brequire\s{0,4}\(\s{0,4}["'`](?:node:)?(?:fs|net|http|https|os|vm|dns|tls|cluster|worker_threads|child_process|process)(?:\/promises)?["'`]|\bimport\s{0,4}\(\s{0,4}["'`]|\bprocess\s{0,4}\.\s{0,4}(?:binding|mainModule|dlopen)\b|\bDeno\.(?:run|Command)|\bBun\.spawn/,
      ["__import__('os')", "require('fs')", "import('node:fs')", "process.mainModule.require('x')"],
      ['required (fs)', 'important'],
    ),
    rule(
      'code-deserialize',
      'data that become code when they are read',
      /\bpickle\s{0,4}\.\s{0,4}loads?\b|\bc__builtin__\b|\byaml\s{0,4}\.\s{0,4}(?:unsafe_)?load\s{0,4}\((?![^)\n]{0,200}SafeLoader)|!!python\/(?:object|name|module)|\bunserialize\s{0,4}\(|\bObjectInputStream\b|\bmarshal\s{0,4}\.\s{0,4}loads?\b|\brO0AB|\bBinaryFormatter\b|\bO:\d{1,4}:"[A-Za-z_\\]{1,200}":\d/,
      ['pickle.loads(x)', "!!python/object/apply:os.system ['id']", 'rO0ABXNyABFqYXZh', 'O:8:"Evil":0:{}'],
      ['yaml.load(x, Loader=SafeLoader)', 'a jar of pickle'],
    ),
    rule(
      'code-template',
      'an expression of a template or of a logger',
      /\$\{(?:jndi|env|sys|lower|upper|java|script|ctx|date|base64Decoder):|\{\{[^}\n]{0,200}(?:__|config|self\.|request|cycler|constructor|\d\s{0,4}\*\s{0,4}\d)[^}\n]{0,200}\}\}|<%[=@]?[^%\n]{1,400}%>|#\{[^}\n]{0,200}(?:T\(|Runtime|`)[^}\n]{0,200}\}|\$\{T\(|<#assign\b|\{%[^%\n]{0,200}(?:import|include|for|set)[^%\n]{0,200}%\}/,
      [
        '$' + '{jndi:ldap://x}',
        '{{7*7}}',
        "{{ ''.__class__ }}",
        '<%= `id` %>',
        '$' + '{T(java.lang.Runtime)}',
      ],
      ['{{name}}', '$' + '{name}', '100%'],
    ),
    rule(
      'code-reflection',
      'a way to what a program keeps to itself',
      /\b__(?:class|mro|bases?|subclasses|globals|builtins|code|getattribute|reduce(?:_ex)?)__\b|\bconstructor\s{0,4}(?:\.|\[\s{0,4}["'])\s{0,4}(?:constructor|prototype)\b|\b__proto__\b|\bgetClass\s{0,4}\(\s{0,4}\)\s{0,4}\.|\bClass\.forName\s{0,4}\(|\bctypes\s{0,4}\.|\bReflect\s{0,4}\.\s{0,4}(?:construct|apply)/,
      [
        '().__class__.__mro__',
        'a.constructor.constructor("return 1")',
        'x.__proto__.y',
        'Class.forName("x")',
      ],
      ['__init__', 'a constructor'],
    ),
    rule(
      'code-script',
      'a script in a document',
      /<script\b|\bjavascript\s{0,8}:|\bvbscript\s{0,8}:|<[a-z]{1,12}\s[^>\n]{0,400}\bon(?:error|load|click|mouseover|focus|toggle)\s{0,8}=|<iframe\b|\bdata:text\/html/i,
      ['<script>alert(1)</script>', '<img src=x onerror=alert(1)>', 'javascript:alert(1)', '<svg onload=x>'],
      ['<b>bold</b>', 'the script', 'on error = x'],
    ),
  ],
};
