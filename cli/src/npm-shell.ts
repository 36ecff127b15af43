/*
 * npm and npx run a command in a shell of their own and hand signals on to that shell alone. Many shells end without
 * telling the command: `kill` of what was started would leave a gateway behind that still has the port.
 */

const LOOK_INTERVAL_MS = 1_000;

/**
 * The commands of npm that run this program and nothing else: `npx sluice`, a script of a package that is `sluice …`,
 * and `npm start` here. The shell of any other may end while what it started is meant to go on.
 */
const SLUICE_ALONE = /^(['"]?[^\s&;|'"]*\bsluice['"]?(\s[^&;|\n]*)?|node cli\/scripts\/start\.mjs)$/;

/** Calls back once when npm started this process and the shell between them has ended. Keeps no process alive. */
export function whenNpmShellEnds(onEnd: () => void): void {
  if (!SLUICE_ALONE.test(process.env.npm_lifecycle_script ?? '')) return;
  const shell = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(looking);
    onEnd();
  }, LOOK_INTERVAL_MS);
  looking.unref();
}
