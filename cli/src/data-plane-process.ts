import type { DataPlaneOrder } from './process-messages.js';
import { ServingProcess } from './serving-process.js';

/*
 * Entry point of the data plane process. It takes its orders from the parent; signals that a terminal sends to
 * every process in the foreground are the parent's business.
 */
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});

const serving = new ServingProcess((report) => {
  if (process.connected) process.send?.(report);
});

process.on('message', (order: DataPlaneOrder) => serving.obey(order));
// Whoever ends this process alone gets a new one from the parent, once requests under way are finished.
process.on('SIGTERM', () => void serving.stop());
// The parent is gone: nobody would start this process again, so it must not stay either.
process.on('disconnect', () => void serving.stop());
if (!process.connected) void serving.stop();
