/** The two ways to reach an upstream, and how its tools, prompts and resources are called there. */
export interface Place {
  path: (upstream: string) => string;
  name: (upstream: string, name: string) => string;
  uri: (upstream: string, uri: string) => string;
}

export const PLACES = {
  'its own path': {
    path: (upstream) => `/mcp/${upstream}`,
    name: (_, name) => name,
    uri: (_, uri) => uri,
  },
  'the path of all': {
    path: () => '/mcp',
    name: (upstream, name) => `${upstream}__${name}`,
    uri: (upstream, uri) => `${upstream}+${uri}`,
  },
} satisfies Record<string, Place>;

export const PLACE_NAMES = Object.keys(PLACES) as (keyof typeof PLACES)[];
