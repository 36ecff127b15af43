/** Programs inside of arguments. */
import { type RuleSet, rule } from './rule.js';

export const code: RuleSet = {
  name: 'code',
  rules: [
    rule(
      'code-eval',
      'code that runs a text as code',
      /\b(?:eval|exec|execfile|Function|setTimeout|setInterval|assert|create_function|compile|instance_eval|class_eval)\s{0,4}\(\s{0,4}["'`$a-z_]|\bFunction\s{0,4}`|\bvm\s{0,4}\.\s{0,4}(?:runIn|compile|Script)|\bexec\s{1,4}["']/,
      ['eval("x")', "exec('import os')", 'new Function("return 1")', 'compile(x, "", "exec")'],
      ['evaluate (x)', 'the executive', 'retrieval("x")'],
    ),
    rule(
      'code-process',
      'code that starts programs',
      /\bchild_process\b|\bsubprocess\s{0,4}\.\s{0,4}(?:run|call|Popen|check_output|getoutput)|\bos\s{0,4}\.\s{0,4}(?:system|popen|exec[lv]p?e?|spawn[lv]?p?e?)\s{0,4}\(|\bgetRuntime\s{0,4}\(\s{0,4}\)|\bProcessBuilder\b|\bProcess\.Start\b|\b(?:shell_exec|passthru|proc_open|popen|pcntl_exec)\s{0,4}\(|\bexec\.Command\s{0,4}\(|\bKernel\.(?:system|exec|spawn)\b|\bsystem\s{0,4}\(\s{0,4}["'$]|\bexecSync\s{0,4}\(|\bspawnSync?\s{0,4}\(/,
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
      /\b__import__\s{0,4}\(|\bimportlib\s{0,4}\.|\brequire\s{0,4}\(\s{0,4}["'`](?:node:)?(?:fs|net|http|https|os|vm|dns|tls|cluster|worker_threads|child_process|process)(?:\/promises)?["'`]|\bimport\s{0,4}\(\s{0,4}["'`]|\bprocess\s{0,4}\.\s{0,4}(?:binding|mainModule|dlopen)\b|\b(?:process|Deno|os)\s{0,4}\.\s{0,4}(?:env|environ)\b|\bgetenv\s{0,4}\(|\bglobalThis\s{0,4}[.[]|\bfrom\s{1,8}(?:os|sys|subprocess|socket|shutil|pty|ctypes|importlib)\s{1,8}import\b|\bimport\s{1,8}(?:os|sys|subprocess|socket|shutil|pty|ctypes|importlib)\b(?!\s{1,8}[a-z])|\bDeno\.(?:run|Command)|\bBun\.spawn/,
      [
        "__import__('os')",
        "require('fs')",
        "import('node:fs')",
        'import os; x',
        'from subprocess import run',
        'process.env.KEY',
        "process.mainModule.require('x')",
      ],
      ['required (fs)', 'important'],
    ),
    rule(
      'code-files',
      'code that removes or writes files',
      /\bshutil\s{0,4}\.\s{0,4}(?:rmtree|move|copy\w{0,8})\s{0,4}\(|\bos\s{0,4}\.\s{0,4}(?:remove|unlink|rmdir|removedirs|rename|chmod|chown)\s{0,4}\(|\bfs(?:\.promises)?\s{0,4}\.\s{0,4}(?:rm|rmdir|unlink|writeFile|appendFile|createWriteStream|rename|chmod|cp)(?:Sync)?\s{0,4}\(|\bopen\s{0,4}\(\s{0,4}["'][^"'\n]{1,300}["']\s{0,4},\s{0,4}["'][wax]|\bfile_put_contents\s{0,4}\(|\bFileUtils\.rm|\bFiles\.(?:delete|write)/,
      ['shutil.rmtree("x")', 'fs.rmSync("x")', "open('x', 'w')", 'os.remove("x")'],
      ['open the file', 'remove("x")'],
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
      /[$*]\{\s{0,4}(?:T\(|\d{1,9}\s{0,4}\*\s{0,4}\d)|\$\{(?:jndi|env|sys|lower|upper|java|script|ctx|date|base64Decoder):|\{\{[^}\n]{0,200}(?:__|config|self\.|request|cycler|constructor|\d\s{0,4}\*\s{0,4}\d)[^}\n]{0,200}\}\}|<%[=@]?[^%\n]{1,400}%>|#\{[^}\n]{0,200}(?:T\(|Runtime|`)[^}\n]{0,200}\}|\$\{T\(|<#assign\b|\{%[^%\n]{0,200}(?:import|include|for|set)[^%\n]{0,200}%\}/,
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
      /<script\b|\bjavascript\s{0,8}:|\bvbscript\s{0,8}:|<[a-z]{1,12}[\s/](?:[^>\n]{0,400}[\s/"'])?on(?:error|load|click|mouseover|focus|toggle)\s{0,8}=|<iframe\b|\bdata:text\/html|<\?php\b|^#!\s{0,4}\//i,
      [
        '<script>alert(1)</script>',
        '<img src=x onerror=alert(1)>',
        'javascript:alert(1)',
        '<svg/onload=x>',
        '#!/bin/sh',
        '<svg onload=x>',
      ],
      ['<b>bold</b>', 'the script', 'on error = x'],
    ),
  ],
};
