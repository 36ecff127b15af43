// `npm start`: installs and builds what has changed, then serves the demo, or what the arguments say.
import './check-node.mjs';

const { start } = await import('./start-gateway.mjs');
await start(process.argv.slice(2));
