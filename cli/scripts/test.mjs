// `npm test`: installs and builds what has changed, then checks types, style and behaviour.
//
//   npm test                       everything but the long suites
//   npm test -- --full             the long suites too
//   npm test -- data-plane         only the test files whose path holds this; other arguments go to vitest
import './check-node.mjs';

const { test } = await import('./test-workspace.mjs');
process.exitCode = await test(process.argv.slice(2));
