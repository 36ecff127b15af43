/** The network of a plugin in a process: the origins that the configuration names for it, and no other. */
import type { PluginHost } from '@sluice/sdk';

export function grantedFetch(fetch: PluginHost['fetch'], origins: readonly string[]): PluginHost['fetch'] {
  return async (url, options) => {
    const { origin } = new URL(url);
    if (origins.includes(origin)) return fetch(url, options);
    throw new Error(`requests to ${origin} are not granted; name it in \`may_fetch\` of the plugin`);
  };
}
