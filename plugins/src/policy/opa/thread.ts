/** The program of the thread in which a compiled policy runs: it takes an input, and answers what the policy says. */
import { parentPort, workerData } from 'node:worker_threads';
import { CompiledPolicy, type EvaluatedMessage, type PolicyOrder } from './compiled-policy.js';

const port = parentPort;
if (port !== null) {
  const policy = new CompiledPolicy(workerData as PolicyOrder);
  port.on('message', (input: string) => {
    port.postMessage(policy.evaluate(input) satisfies EvaluatedMessage);
  });
  port.postMessage('ready');
}
