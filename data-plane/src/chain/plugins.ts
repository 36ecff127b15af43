/**
 * The plugins of a configuration, running: made once for each use and worker, kept while their configuration stays
 * the same, and put together to one route for each endpoint.
 */
import type { ResolvedConfiguration, ResolvedPlugin } from '@sluice/proto';
import type { PageAnswer, PageRequest, Plugin, Refusal, UpstreamChange } from '@sluice/sdk';
import { Binding, compileRoute, type Route } from '@sluice/sdk/engine';
import type { Logger } from 'pino';
import type { Loaded } from './isolation/load.js';
import { type PluginHostParts, pluginHost } from './plugin-host.js';

export interface PluginsOptions extends PluginHostParts {
  readonly log: Logger;
  /** What a binding names; undefined when there is no such plugin. */
  readonly find: (binding: ResolvedPlugin) => Plugin | undefined;
}

interface Running {
  readonly resolved: ResolvedPlugin;
  readonly binding: Binding;
}

/** What a configuration makes of its plugins, before it is in use. */
interface Prepared {
  readonly running: ReadonlyMap<string, Running>;
  readonly routes: ReadonlyMap<string, Route>;
  /** What goes on with a configuration that has changed is told of it when that is in use. */
  readonly reconfigured: readonly (() => void)[];
}

export class Plugins {
  private now: Prepared = { running: new Map(), routes: new Map(), reconfigured: [] };
  /** What the next configuration needs, and is there already. */
  private readonly loaded = new Map<string, Loaded>();
  /** Those that requests under way may still need. */
  private readonly leaving = new Set<Running>();

  constructor(private readonly options: PluginsOptions) {}

  /** The route of an endpoint by its path; undefined where no plugin serves it. */
  route(path: string): Route | undefined {
    return this.now.routes.get(path);
  }

  /**
   * Loads what a configuration needs that cannot be had at once: modules from elsewhere, and whatever does not run on
   * this thread. Rejects, and has changed nothing, when one cannot be had.
   */
  async load({ plugins }: ResolvedConfiguration): Promise<void> {
    await this.unload();
    const wanted = plugins.filter((each) => this.mustLoad(each) && !this.goesOn(each));
    if (wanted.length === 0) return;
    const { load } = await import('./isolation/load.js');
    const all = await Promise.allSettled(
      wanted.map(async (each) => {
        const log = this.options.log.child({ plugin: each.name });
        this.loaded.set(each.name, await load(each, this.options.find(each), log));
      }),
    );
    const failed = all.find((each) => each.status === 'rejected');
    if (failed === undefined) return;
    await this.unload();
    throw failed.reason;
  }

  private goesOn(resolved: ResolvedPlugin): boolean {
    const before = this.now.running.get(resolved.name);
    return before !== undefined && sameUse(before.resolved, resolved);
  }

  private mustLoad(resolved: ResolvedPlugin): boolean {
    const plugin = this.options.find(resolved);
    return plugin === undefined || (resolved.isolation ?? plugin.isolation) !== 'inline';
  }

  private async unload(): Promise<void> {
    const unused = [...this.loaded.values()];
    this.loaded.clear();
    await Promise.all(unused.map((each) => each.runner?.close()));
  }

  /** Makes everything that a configuration needs. Throws before anything is changed when it cannot be made. */
  prepare(configuration: ResolvedConfiguration, paths: readonly string[]): Prepared {
    const { plugins } = configuration;
    const running = new Map<string, Running>();
    const reconfigured: (() => void)[] = [];
    const made: Running[] = [];
    try {
      for (const resolved of plugins) {
        const kept = this.kept(resolved, reconfigured);
        const own = kept ?? this.make(resolved);
        if (kept === undefined) made.push(own);
        running.set(resolved.name, own);
      }
    } catch (thrown) {
      void this.shutDown(made);
      throw thrown;
    }
    const routes = new Map<string, Route>();
    for (const path of paths) {
      const bindings = [...running.values()]
        .filter(({ resolved: { endpoints } }) => endpoints.length === 0 || endpoints.includes(path))
        .map(({ binding }) => binding);
      if (bindings.length > 0)
        routes.set(path, this.keptRoute(path, compileRoute(bindings, leadsTo(path, configuration))));
    }
    return { running, routes, reconfigured };
  }

  /** What was found out by a route counts for as long as it is the very same. */
  private keptRoute(path: string, next: Route): Route {
    const before = this.now.routes.get(path);
    const isSame =
      before?.edition === next.edition &&
      before.bindings.length === next.bindings.length &&
      before.bindings.every((binding, index) => binding === next.bindings[index]);
    return isSame ? before : next;
  }

  /** Puts it to use. Requests under way end with what they began with; what nobody needs is shut down after a while. */
  use(prepared: Prepared, graceMs: number): void {
    const before = this.now.running;
    this.now = prepared;
    for (const tell of prepared.reconfigured) tell();
    // What has not been taken by now was not needed, or its configuration came to nothing.
    for (const [name, { hooks }] of this.loaded)
      if (prepared.running.get(name)?.binding.hooks === hooks) this.loaded.delete(name);
    const still = new Set([...prepared.running.values()].map(({ binding }) => binding.hooks));
    const gone = [...before.values()].filter(({ binding }) => !still.has(binding.hooks));
    if (gone.length === 0) return;
    for (const each of gone) this.leaving.add(each);
    setTimeout(() => {
      for (const each of gone) this.leaving.delete(each);
      void this.shutDown(gone);
    }, graceMs).unref();
  }

  /** Answers a GET for a page that a plugin has; undefined when none has it, a Refusal when one failed over it. */
  page(request: Omit<PageRequest, 'endpoints'>): Promise<PageAnswer | Refusal | undefined> | undefined {
    const having = [...this.now.running.values()]
      .map(({ binding }) => binding)
      .filter(({ plugin: { pages } }) =>
        pages.some((page) => request.path === page || request.path.startsWith(`${page}/`)),
      );
    return having.length === 0 ? undefined : this.firstPage(having, request);
  }

  /** One plugin that is used twice, for different endpoints, has pages for both. */
  private async firstPage(
    bindings: readonly Binding[],
    request: Omit<PageRequest, 'endpoints'>,
  ): Promise<PageAnswer | Refusal | undefined> {
    for (const binding of bindings) {
      const endpoints = [...this.now.routes]
        .filter(([, route]) => route.bindings.includes(binding))
        .map(([path]) => path);
      const page = await binding.page({ ...request, endpoints });
      if (page !== undefined) return page;
    }
    return undefined;
  }

  /** Tells plugins that something has changed at an upstream, or may have. */
  changed(change: UpstreamChange): void {
    for (const { binding } of this.now.running.values()) {
      const { hooks } = binding;
      if (hooks.changed === undefined) continue;
      binding.run(
        'changed',
        () => hooks.changed?.(change),
        () => undefined,
      );
    }
  }

  async close(): Promise<void> {
    await this.shutDown([...this.now.running.values(), ...this.leaving]);
    await this.unload();
  }

  private async shutDown(some: readonly Running[]): Promise<void> {
    const ends = some.map(async ({ binding }) => {
      try {
        await binding.hooks.shutdown?.();
      } catch (thrown) {
        this.options.log.error({ err: thrown, plugin: binding.name }, 'a plugin could not be shut down');
      }
    });
    await Promise.all(ends);
  }

  /** What runs already and goes on as it is, or takes the new configuration by itself. */
  private kept(resolved: ResolvedPlugin, reconfigured: (() => void)[]): Running | undefined {
    const before = this.now.running.get(resolved.name);
    if (before === undefined) return undefined;
    if (this.goesOn(resolved)) return { resolved, binding: before.binding };
    const { hooks, plugin } = before.binding;
    if (
      hooks.configure === undefined ||
      !sameUse(before.resolved, { ...resolved, config: before.resolved.config })
    )
      return undefined;
    const config = checkedConfig(plugin, resolved);
    reconfigured.push(() => hooks.configure?.(config));
    return { resolved, binding: this.bind(plugin, resolved, config, hooks) };
  }

  private make(resolved: ResolvedPlugin): Running {
    const loaded = this.loaded.get(resolved.name);
    const plugin = loaded?.plugin ?? this.options.find(resolved);
    if (plugin === undefined)
      throw new Error(`plugin ${resolved.name}: there is no plugin ${resolved.plugin}`);
    const binding = this.bind(plugin, resolved, checkedConfig(plugin, resolved), loaded?.hooks);
    loaded?.runner?.serve(pluginHost(resolved.name, plugin, this.options, 0));
    return { resolved, binding };
  }

  private bind(
    plugin: Plugin,
    { name, onFailure }: ResolvedPlugin,
    config: unknown,
    hooks?: Binding['hooks'],
  ): Binding {
    const { metrics } = this.options;
    const log = this.options.log.child({ plugin: name });
    return new Binding({
      plugin,
      config,
      host: pluginHost(name, plugin, this.options, plugin.sharedBytes(config)),
      ...(hooks === undefined ? {} : { hooks }),
      onFailure,
      events: {
        failed: (hook, thrown) => {
          metrics.pluginFailed(name, hook);
          log.error({ err: thrown, hook }, `plugin ${name} failed in ${hook}`);
        },
        switchedOff: (forMs) => {
          metrics.pluginSwitched(name, true);
          log.error({ forMs }, `plugin ${name} keeps failing and is left alone for ${forMs} ms`);
        },
        switchedOn: () => {
          metrics.pluginSwitched(name, false);
          log.info(`plugin ${name} is tried again`);
        },
      },
    });
  }
}

/** What can be served before plugins are loaded: nothing, since nobody would be in front of it. */
export function withoutPlugins(configuration: ResolvedConfiguration): ResolvedConfiguration {
  return configuration.plugins.length === 0
    ? configuration
    : { ...configuration, upstreams: [], plugins: [] };
}

/** What is behind an endpoint, as a text that is another one when it is something else. */
function leadsTo(path: string, { gateway, upstreams }: ResolvedConfiguration): string {
  const own = upstreams.filter(({ name }) => path === `/mcp/${name}`);
  return JSON.stringify(own.length > 0 ? own : [upstreams, gateway.naming, gateway.discovery.pageSizeCount]);
}

/** Which endpoints it serves is the matter of routes. */
function sameUse({ endpoints: _a, ...a }: ResolvedPlugin, { endpoints: _b, ...b }: ResolvedPlugin): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function checkedConfig(plugin: Plugin, { name, config }: ResolvedPlugin): unknown {
  const checked = plugin.checked(config);
  if (checked.ok) return checked.config;
  const problems = checked.problems.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new Error(`plugin ${name}: ${problems}`);
}
