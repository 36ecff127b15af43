import { runCommandLine as run } from './command-line.js';

/** Runs the short-lived commands. Each loads what it needs only when it is the one that runs. */
export function runCommandLine(argv: readonly string[]): Promise<number> {
  return run(argv, {
    // Reached only by roundabout spellings, for example with an option before the command.
    serve: async () => {
      const { supervise } = await import('./supervisor.js');
      return supervise(argv.slice(argv.indexOf('serve') + 1));
    },
    validate: async (file) => (await import('./validate.js')).validate(file, process.stdout, process.stderr),
    health: async (url) => (await import('./health.js')).health(url, process.stdout, process.stderr),
    version: async () => {
      const { packageVersion } = await import('./version.js');
      const { version, platform, arch } = process;
      process.stdout.write(`sluice ${packageVersion()} (Node.js ${version}, ${platform} ${arch})\n`);
      return 0;
    },
  });
}
