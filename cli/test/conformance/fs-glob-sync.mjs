// The conformance suite imports `globSync` from 'fs', which Node has from 22 on. Only its subcommand for
// building SDKs would call it, and the tests never run that; but without the name nothing loads at all.
export * from 'node:fs';
export { default } from 'node:fs';

export function globSync() {
  throw new Error('fs.globSync does not exist in this version of Node; it begins with Node 22');
}
