import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';

/* Says at the end of every process of a command whether it has loaded what only a cluster needs. */
process.on('exit', () => {
  const names = Object.keys(createRequire(import.meta.url).cache);
  const loaded = names.some((name) => /node_modules\/(?:@grpc|@nats-io|etcd3)\//.test(name));
  writeSync(2, `${loaded ? 'loaded' : 'did not load'} what a cluster needs\n`);
});
