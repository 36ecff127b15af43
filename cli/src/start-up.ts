import { setTimeout as sleep } from 'node:timers/promises';
import type { DataPlane } from '@sluice/data-plane';
import { ProgressLine } from './progress-line.js';
import { renderScreen } from './screen.js';
import { usesColour } from './terminal.js';
import { packageVersion } from './version.js';

/** Upstreams that take longer are shown as starting: a screen that does not come tells less than that. */
const READY_LIMIT_MS = 5_000;

/**
 * Waits until the upstreams have been asked what they offer, saying so on a terminal, and prints the screen.
 *
 * @param onRoom is given the function that clears the line of progress before something else is written
 */
export async function showStartUpScreen(
  gateway: DataPlane,
  out: NodeJS.WriteStream,
  onRoom: (makeRoom: () => void) => void,
): Promise<void> {
  const progress = out.isTTY ? new ProgressLine(out, () => waitingText(gateway)) : undefined;
  if (progress) onRoom(() => progress.erase());
  await Promise.race([gateway.ready, sleep(READY_LIMIT_MS, undefined, { ref: false })]);
  onRoom(() => {});
  progress?.end();
  const content = {
    version: packageVersion(),
    url: gateway.url,
    healthUrl: gateway.healthUrl,
    metricsUrl: gateway.metricsUrl,
    adminUrl: gateway.adminUrl,
    upstreams: gateway.status(),
  };
  out.write(renderScreen(content, usesColour(out)));
}

function waitingText(gateway: DataPlane): string {
  const upstreams = gateway.status();
  const waiting = upstreams.filter(({ state }) => state === 'starting').map(({ name }) => name);
  const ready = upstreams.length - waiting.length;
  return `asking the upstreams what they offer: ${ready} of ${upstreams.length}${waiting.length ? `, waiting for ${waiting.join(', ')}` : ''}`;
}
