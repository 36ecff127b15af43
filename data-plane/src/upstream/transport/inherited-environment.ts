import process from 'node:process';

/**
 * Variables of the gateway that a subprocess sees: what a program needs to find its files and its user, the same
 * set that desktop clients pass on. All else stays here, because the environment is where secrets are kept.
 */
const POSIX_VARIABLES = ['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'USER'];
const WINDOWS_VARIABLES = [
  'APPDATA',
  'COMSPEC',
  'HOMEDRIVE',
  'HOMEPATH',
  'LOCALAPPDATA',
  'PATH',
  'PATHEXT',
  'PROCESSOR_ARCHITECTURE',
  'PROGRAMFILES',
  'SYSTEMDRIVE',
  'SYSTEMROOT',
  'TEMP',
  'TMP',
  'USERNAME',
  'USERPROFILE',
];

/** The environment of a subprocess: the inherited variables, and above them those of its configuration. */
export function subprocessEnvironment(configured: Readonly<Record<string, string>>): Record<string, string> {
  const names = process.platform === 'win32' ? WINDOWS_VARIABLES : POSIX_VARIABLES;
  const environment: Record<string, string> = {};
  for (const name of names) {
    const value = process.env[name];
    // A value that begins like this is a function that a shell exported: code, not data.
    if (value !== undefined && !value.startsWith('()')) environment[name] = value;
  }
  return { ...environment, ...configured };
}
