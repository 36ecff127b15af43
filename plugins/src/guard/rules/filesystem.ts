/** Paths that nobody should read or write through a tool. */
import { type RuleSet, rule } from './rule.js';

/** Signs that look like slashes, or that other systems take for one. */
const SLASHES = /[\\\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68]/g;

/** Whatever is a slash as one, and nothing between two of them: `C:\\Windows`, `/etc//./shadow`. */
function read(text: string): string | undefined {
  if (text.search(SLASHES) === -1 && !text.includes('/')) return undefined;
  return text.replace(SLASHES, '/').replace(/\/(?:\.?\/)+/g, '/');
}

export const filesystem: RuleSet = {
  name: 'filesystem',
  read,
  rules: [
    rule(
      'fs-traversal',
      'a path that leads out of its folder',
      /(?:^|[\s"'=:,(/\\])\.{2}(?:[\\/]|$)|[\\/]\.{2}(?:[\\/]|$)|\.{2};[\\/]|\.{4}[\\/]{2}|%(?:c0%a[ef]|c1%9c|e0%80%a[ef])/i,
      ['../../secret.txt', 'docs/../../x', '..\\windows', 'a/..', '....//etc', '..%c0%afetc', '..\u2215etc'],
      ['docs/..hidden/x', 'wait... what', 'v1..v2', 'a.../b'],
    ),
    rule(
      'fs-system',
      'a path of the operating system',
      /(?:^|[\s"'=:,(]|file:\/\/)(?:(?:\/private)?\/(?:etc|proc|sys|dev|boot|root|run|system\/library|library\/preferences|var\/(?:run|lib|log|spool)|usr\/(?:s?bin|lib)|s?bin|lib(?:64)?)(?:\/|$|[\s"',;)])|[a-z]:[\\/](?:windows|program files|programdata)(?:[\\/ ]|$))/i,
      ['/etc/passwd', 'cat /proc/self/environ', 'C:\\Windows\\System32', 'file:///etc/hosts', '/dev/sda'],
      ['/home/ada/etc/x', 'docs/etc', '/etcetera', '/srv/dev.txt'],
    ),
    rule(
      'fs-credentials',
      'a file that holds credentials',
      /(?:^|[\\/\s"'=])(?:\.ssh|\.aws|\.azure|\.gnupg|\.kube|\.docker\/config\.json|\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.pgpass|\.my\.cnf|\.env(?:\.[a-z]{1,20})?|id_(?:rsa|dsa|ecdsa|ed25519)|credentials\.json|service[-_]account\.json|shadow|gshadow|sam|ntds\.dit|master\.key|mcp\.json|\.git[\\/]config|Keychains|claude_desktop_config\.json)(?=[\\/\s"',;)]|$)|gcloud\/application_default_credentials/i,
      [
        '~/.ssh/id_rsa',
        '.env',
        '/home/ada/.aws/credentials',
        '.env.production',
        '/etc/shadow',
        '~/.config/gcloud/application_default_credentials.json',
      ],
      ['environment.md', 'docs/ssh.md', 'my.env.example.md', 'shadowing'],
    ),
    rule(
      'fs-home',
      'a start-up file of a person or of the system',
      /(?:^|[\\/\s"'=~])(?:\.(?:bashrc|bash_profile|profile|zshrc|zprofile|bash_history|zsh_history)|authorized_keys|crontab|cron\.(?:d|daily|hourly)|systemd\/(?:system|user)|LaunchAgents|LaunchDaemons|\.git\/hooks|Start Menu\/Programs\/Startup)(?=[\\/\s"',;)]|$)/i,
      ['~/.bashrc', '/home/ada/.ssh/authorized_keys', '/etc/cron.d/job', 'repo/.git/hooks/pre-commit'],
      ['profile.json', 'docs/crontabs.md'],
    ),
    rule(
      'fs-device',
      'a raw device or a path of the network',
      /^\\\\[^\\\s]{1,255}\\|["'\s=]\\\\[a-z0-9.-]{1,255}\\[a-z]|^\/\/[a-z0-9.-]{1,255}\/[a-z0-9$]{1,80}|\/dev\/(?:sd[a-z]|nvme\d|mem|kmem|tcp|udp)|PhysicalDrive\d/i,
      ['\\\\evil.example\\share', '//evil.example/share', '/dev/nvme0n1', '\\\\.\\PhysicalDrive0'],
      ['a\\b', 'C:\\Users\\ada', '// a comment'],
    ),
    rule(
      'fs-null',
      'a null character, behind which some see no more of a path',
      /\0/,
      ['image.png\0.sh', 'image.png%00.sh'],
      ['image.png'],
    ),
    rule(
      'fs-file-address',
      'the address of a file',
      /\b(?:file|jar|netdoc|local_file):(?:\/|%2f|\\)/i,
      ['file:///tmp/x', 'jar:/tmp/x.jar'],
      ['file: x', 'profile://x'],
    ),
  ],
};
