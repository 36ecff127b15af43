import type { ResolvedConfiguration } from '@sluice/proto';
import type { ParentSettings } from './process-messages.js';

/** The part of a configuration that the parent process is told. */
export function parentSettings({ gateway }: ResolvedConfiguration): ParentSettings {
  return {
    shutdownGraceMs: gateway.shutdownGraceMs,
    logLevel: gateway.log.level,
    // Whoever sees the log on a terminal reads it.
    logFormat: gateway.log.format ?? (process.stderr.isTTY ? 'text' : 'json'),
  };
}
