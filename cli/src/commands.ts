import { runCommandLine as run } from './command-line.js';

/** Runs the short-lived commands. Each loads what it needs only when it is the one that runs. */
export function runCommandLine(argv: readonly string[]): Promise<number> {
  if (argv[0] !== 'stdio') for (const output of [process.stdout, process.stderr]) letReadersLeave(output);
  return run(argv, {
    // Reached only by roundabout spellings, for example with an option before the command.
    serve: async () => {
      const { supervise } = await import('./supervisor.js');
      return supervise(argv.slice(argv.indexOf('serve') + 1));
    },
    dataPlane: async () => {
      const { supervise } = await import('./supervisor.js');
      return supervise(argv.slice(argv.indexOf('data-plane') + 1), 'data-plane');
    },
    controlPlane: async (flags) => {
      const [{ runControlPlane }, { endProcess }] = await Promise.all([
        import('./control-plane.js'),
        import('./controlling-terminal.js'),
      ]);
      const exitCode = await runControlPlane(flags, process.stdout, process.stderr);
      endProcess(exitCode);
      return exitCode;
    },
    stdio: async (flags) => {
      const [{ serveStdio }, { endProcess }] = await Promise.all([
        import('./stdio.js'),
        import('./controlling-terminal.js'),
      ]);
      const exitCode = await serveStdio(flags);
      // Its stdin may still be open.
      endProcess(exitCode);
      return exitCode;
    },
    validate: async (file) => (await import('./validate.js')).validate(file, process.stdout, process.stderr),
    health: async (url) => (await import('./health.js')).health(url, process.stdout, process.stderr),
    createKey: async (flags) => {
      const { createKey } = await import('./new-key.js');
      return createKey(
        flags,
        { environment: process.env, nowMs: Date.now() },
        process.stdout,
        process.stderr,
      );
    },
    createToken: async (flags) =>
      (await import('./new-token.js')).createToken(flags, process.stdout, process.stderr),
    hashPassword: async () =>
      (await import('./new-password.js')).printPasswordHash(process.stdin, process.stdout, process.stderr),
    newPlugin: async (name) =>
      (await import('./plugin-folder.js')).newPlugin(name, process.stdout, process.stderr),
    testPlugin: async (folder) => (await import('./plugin-folder.js')).runPluginTests(folder, process.stderr),
    packPlugin: async (folder) =>
      (await import('./plugin-folder.js')).pack(folder, process.stdout, process.stderr),
    testPolicy: async (file) =>
      (await import('./policy/run-cases.js')).testPolicy(file, process.stdout, process.stderr),
    explainPolicy: async (file, flags) =>
      (await import('./policy/explain.js')).explain(file, flags, process.stdout, process.stderr),
    replayPolicy: async (file, flags) => {
      const { replay } = await import('./policy/replay.js');
      return replay(file, flags, { out: process.stdout, err: process.stderr, nowMs: Date.now() });
    },
    pin: async (command) => (await import('./pin/run.js')).runPin(command, process.stdout, process.stderr),
    admin: async (command) => {
      // A server of TLS is named after its address by grpc-js, which Node.js deprecates where that is a number.
      process.noDeprecation = true;
      const { runAdminCommand } = await import('./admin/run.js');
      return runAdminCommand(command, { out: process.stdout, err: process.stderr, input: process.stdin });
    },
    audit: async (command) => {
      const { runAuditCommand } = await import('./audit/run.js');
      return runAuditCommand(command, { out: process.stdout, err: process.stderr, nowMs: Date.now() });
    },
    completion: async (shell, program) => {
      const { completionScript } = await import('./completion.js');
      process.stdout.write(completionScript(program, shell));
      return 0;
    },
    version: async () => {
      const { packageVersion } = await import('./version.js');
      const { version, platform, arch } = process;
      process.stdout.write(`sluice ${packageVersion()} (Node.js ${version}, ${platform} ${arch})\n`);
      return 0;
    },
  });
}

/** A reader such as `head` may leave before everything is written, which is no failure of the command. */
function letReadersLeave(output: NodeJS.WriteStream): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
