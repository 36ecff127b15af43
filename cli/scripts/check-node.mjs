// Runs before anything else and on any Node.js, so that an old one gets a sentence and not a stack trace.
const WANTED = [20, 19];
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < WANTED[0] || (major === WANTED[0] && minor < WANTED[1])) {
  console.error(`Sluice needs Node.js ${WANTED.join('.')} or newer; this is ${process.versions.node}.`);
  console.error('Install a newer one from https://nodejs.org and run the command again.');
  process.exit(1);
}
