import { endProcess } from './controlling-terminal.js';
import { EXIT } from './exit-codes.js';

/*
 * Decides early which of two things this process is: the small parent of a gateway, which lives long and
 * therefore loads almost nothing, or a short-lived command.
 */
const [command, ...rest] = process.argv.slice(2);
const wantsHelp = rest.includes('--help') || rest.includes('-h');

if ((command === 'serve' || command === 'data-plane') && !wantsHelp) {
  const { supervise } = await import('./supervisor.js');
  endProcess(await supervise(rest, command));
} else {
  const { runCommandLine } = await import('./commands.js');
  process.exitCode = await runCommandLine(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(
      `sluice: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT.unexpected;
  });
}
