/**
 * The plugins of a configuration, running: made once for each use and worker, kept while their configuration stays
 * the same, and put together to one route for each endpoint.
 */
import type { ResolvedConfiguration, ResolvedPlugin } from '@sluice/proto';
import type { PageAnswer, PageRequest, Plugin, Refusal, UpstreamChange } from '@sluice/sdk';
import { PHASES, RequestFailure } from '@sluice/sdk';
import { Binding, compileRoute, type Route } from '@sluice/sdk/engine';
import type { Logger } from 'pino';
import { isSame } from '../routing/kept.js';
import { CannotRun } from '../snapshot/cannot-run.js';
import { Editions } from './editions.js';
import type { Loaded } from './isolation/load.js';
import { type PluginHostParts, pluginHost } from './plugin-host.js';

/** As many as are looked at between two pauses of those that go on as they are. */
const FEW_COUNT = 100;

export interface PluginsOptions extends PluginHostParts {
  readonly log: Logger;
  /** What a binding names; undefined when there is no such plugin. */
  readonly find: (binding: ResolvedPlugin) => Plugin | undefined;
}

interface Running {
  readonly resolved: ResolvedPlugin;
  readonly binding: Binding;
  /** It belongs to the plugins of another revision, who shut it down. */
  readonly isLent?: boolean;
}

/** What a configuration makes of its plugins, before it is in use. */
export interface PreparedPlugins {
  /** In the order in which they act. */
  readonly running: ReadonlyMap<string, Running>;
  readonly routes: ReadonlyMap<string, Route>;
  /** What goes on with a configuration that has changed is told of it when that is in use. */
  readonly reconfigured: readonly Reconfigured[];
}

interface Reconfigured {
  readonly name: string;
  tell(): void;
}

export class Plugins {
  private now: PreparedPlugins = { running: new Map(), routes: new Map(), reconfigured: [] };
  /** What the next configuration needs, and is there already. */
  private readonly loaded = new Map<string, Loaded>();
  /** What was made for the next configuration, and is shut down when that is not used. */
  private made: Running[] = [];
  /** Those that requests under way may still need. */
  private readonly leaving = new Set<Running>();

  constructor(private readonly options: PluginsOptions) {}

  /**
   * For a revision that some callers try: what did not change is lent from these.
   *
   * @param shared memory of what did change
   */
  beside(shared: PluginsOptions['shared']): Plugins {
    return new Plugins({ ...this.options, shared });
  }

  /** The route of an endpoint by its path; undefined where no plugin serves it. */
  route(path: string): Route | undefined {
    return this.now.routes.get(path);
  }

  /**
   * Loads what a configuration needs that cannot be had at once: modules from elsewhere, and whatever does not run on
   * this thread. Rejects, and has changed nothing, when one cannot be had.
   *
   * @param lenders what runs anyway, for a revision that some callers try
   */
  async load(
    { plugins }: Pick<ResolvedConfiguration, 'plugins'>,
    lenders: readonly ResolvedPlugin[] = [],
  ): Promise<void> {
    await this.unload();
    const lent = new Map(lenders.map((each) => [each.name, each]));
    const wanted = plugins.filter((each) => {
      const lender = lent.get(each.name);
      return this.mustLoad(each) && !this.goesOn(each) && (lender === undefined || !sameUse(lender, each));
    });
    if (wanted.length === 0) return;
    const { load } = await import('./isolation/load.js');
    const all = await Promise.allSettled(
      wanted.map(async (each) => {
        const log = this.options.log.child({ plugin: each.name });
        try {
          this.loaded.set(each.name, await load(each, this.options.find(each), log));
        } catch (thrown) {
          throw new CannotRun('plugin', each.name, thrown, true);
        }
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

  /**
   * Makes everything that a configuration needs, and yields after each thing. Throws when something cannot be made;
   * then, and when it is not going to be used, {@link drop} ends what was made.
   *
   * @param lender what runs beside it, for a revision that some callers try
   */
  *prepare(
    configuration: ResolvedConfiguration,
    paths: readonly string[],
    lender?: PreparedPlugins,
  ): Generator<void, PreparedPlugins, void> {
    const reconfigured: Reconfigured[] = [];
    const inOrder: Running[] = [];
    for (const resolved of configuration.plugins) {
      const lent = lender?.running.get(resolved.name);
      const isLent = lent !== undefined && sameUse(lent.resolved, resolved);
      inOrder.push(
        isLent ? { resolved, binding: lent.binding, isLent } : yield* this.runningOf(resolved, reconfigured),
      );
      yield;
    }
    const phaseOf = ({ binding }: Running) => PHASES.indexOf(binding.plugin.phase);
    inOrder.sort((a, b) => phaseOf(a) - phaseOf(b));
    const placed = yield* bindingsByPath(inOrder);
    const editions = new Editions(configuration);
    const routes = new Map<string, Route>();
    const together = oneForTheSame();
    const tenants = yield* tenantsByPath(configuration);
    for (const path of paths) {
      const bindings = placed(path);
      if (bindings.length === 0) continue;
      const edition = bindings.some(({ reads }) => reads.includes('view')) ? editions.of(path) : '';
      const tenant = tenants.get(path);
      const kept =
        keptRoute(this.now.routes.get(path), bindings, edition, tenant) ??
        keptRoute(lender?.routes.get(path), bindings, edition, tenant);
      routes.set(path, kept ?? together(bindings, edition, tenant));
      if (kept === undefined || routes.size % FEW_COUNT === 0) yield;
    }
    return {
      running: new Map(inOrder.map((each) => [each.resolved.name, each])),
      routes,
      reconfigured,
    };
  }

  private *runningOf(resolved: ResolvedPlugin, reconfigured: Reconfigured[]): Generator<void, Running, void> {
    try {
      const kept = yield* this.kept(resolved, reconfigured);
      if (kept !== undefined) return kept;
      const own = yield* this.make(resolved);
      this.made.push(own);
      return own;
    } catch (thrown) {
      throw new CannotRun('plugin', resolved.name, thrown);
    }
  }

  /** Ends what was loaded and made for a configuration that is not going to be used. */
  async drop(): Promise<void> {
    const { made } = this;
    this.made = [];
    await this.shutDown(made);
    await this.unload();
  }

  /** Puts it to use. Requests under way end with what they began with; what nobody needs is shut down after a while. */
  use(prepared: PreparedPlugins, graceMs: number): void {
    const before = this.now.running;
    this.now = prepared;
    this.made = [];
    for (const { name, tell } of prepared.reconfigured) {
      try {
        tell();
      } catch (thrown) {
        this.options.metrics.pluginFailed(name, 'configure');
        this.options.log.error({ err: thrown, plugin: name }, `plugin ${name} failed in configure`);
      }
    }
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

  /** Nobody uses these any more: what was not lent is shut down after a while. */
  leave(graceMs: number): void {
    this.use({ running: new Map(), routes: new Map(), reconfigured: [] }, graceMs);
  }

  async close(): Promise<void> {
    await this.shutDown([...this.now.running.values(), ...this.leaving]);
    await this.unload();
  }

  private async shutDown(some: readonly Running[]): Promise<void> {
    const ends = some.map(async ({ binding, isLent }) => {
      if (isLent) return;
      try {
        await binding.hooks.shutdown?.();
      } catch (thrown) {
        this.options.log.error({ err: thrown, plugin: binding.name }, 'a plugin could not be shut down');
      }
    });
    await Promise.all(ends);
  }

  /** What runs already and goes on as it is, or takes the new configuration by itself. */
  private *kept(
    resolved: ResolvedPlugin,
    reconfigured: Reconfigured[],
  ): Generator<void, Running | undefined, void> {
    const before = this.now.running.get(resolved.name);
    if (before === undefined) return undefined;
    if (this.goesOn(resolved)) return { resolved, binding: before.binding };
    const { hooks, plugin } = before.binding;
    if (
      hooks.configure === undefined ||
      !sameUse(before.resolved, { ...resolved, config: before.resolved.config })
    )
      return undefined;
    const config = yield* checkedConfig(plugin, resolved);
    reconfigured.push({ name: resolved.name, tell: () => hooks.configure?.(config) });
    return { resolved, binding: this.bind(plugin, resolved, config, hooks) };
  }

  private *make(resolved: ResolvedPlugin): Generator<void, Running, void> {
    const loaded = this.loaded.get(resolved.name);
    const plugin = loaded?.plugin ?? this.options.find(resolved);
    if (plugin === undefined)
      throw new Error(`plugin ${resolved.name}: there is no plugin ${resolved.plugin}`);
    const config = yield* checkedConfig(plugin, resolved);
    const binding = this.bind(plugin, resolved, config, loaded?.hooks);
    loaded?.runner?.serve(pluginHost(resolved.name, plugin, this.options, 0));
    return { resolved, binding };
  }

  private bind(
    plugin: Plugin,
    { name, onFailure, tenant }: ResolvedPlugin,
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
      ...(tenant === undefined ? {} : { tenant }),
      events: {
        failed: (hook, thrown) => {
          metrics.pluginFailed(name, hook);
          if (!(thrown instanceof RequestFailure))
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

/** What was found out by a route counts for as long as it is the very same. */
function keptRoute(
  before: Route | undefined,
  bindings: readonly Binding[],
  edition: string,
  tenant: string | undefined,
): Route | undefined {
  const isSame =
    before?.edition === edition &&
    before.tenant === tenant &&
    before.bindings.length === bindings.length &&
    before.bindings.every((binding, index) => binding === bindings[index]);
  return isSame ? before : undefined;
}

/** Who serves a path, in the order in which they act. Yields after each plugin. */
function* bindingsByPath(
  inOrder: readonly Running[],
): Generator<void, (path: string) => readonly Binding[], void> {
  const everywhere: number[] = [];
  const places = new Map<string, number[]>();
  for (const [place, { resolved }] of inOrder.entries()) {
    if (resolved.endpoints.length === 0) everywhere.push(place);
    for (const path of resolved.endpoints) {
      const own = places.get(path);
      if (own === undefined) places.set(path, [place]);
      else if (own.at(-1) !== place) own.push(place);
    }
    yield;
  }
  const bindingsOf = (all: readonly number[]) => all.map((place) => (inOrder[place] as Running).binding);
  const elsewhere = bindingsOf(everywhere);
  return (path) => {
    const own = places.get(path);
    return own === undefined ? elsewhere : bindingsOf([...everywhere, ...own].sort((a, b) => a - b));
  };
}

/** Paths that are of a tenant. Yields now and then. */
function* tenantsByPath({
  upstreams,
  servers,
}: ResolvedConfiguration): Generator<void, ReadonlyMap<string, string>, void> {
  const tenants = new Map<string, string>();
  for (const [index, { name, tenant }] of upstreams.entries()) {
    if (tenant !== undefined) tenants.set(`/mcp/${name}`, tenant);
    if (index % FEW_COUNT === 0) yield;
  }
  for (const [index, { path, tenant }] of servers.entries()) {
    if (tenant !== undefined) tenants.set(path, tenant);
    if (index % FEW_COUNT === 0) yield;
  }
  return tenants;
}

/** Compiles routes; where the same plugins stand in front of the same, that is one route. */
function oneForTheSame(): (
  bindings: readonly Binding[],
  edition: string,
  tenant: string | undefined,
) => Route {
  const places = new Map<Binding, number>();
  const made = new Map<string, Route>();
  const placeOf = (binding: Binding) => {
    const place = places.get(binding) ?? places.size;
    places.set(binding, place);
    return place;
  };
  return (bindings, edition, tenant) => {
    const key = `${bindings.map(placeOf).join(' ')} ${edition} ${tenant ?? ''}`;
    const route = made.get(key) ?? compileRoute(bindings, edition, tenant);
    made.set(key, route);
    return route;
  };
}

/** Which endpoints it serves is the matter of routes. */
function sameUse(a: ResolvedPlugin, b: ResolvedPlugin): boolean {
  if (a === b) return true;
  const { endpoints: _a, ...restA } = a;
  const { endpoints: _b, ...restB } = b;
  return isSame(restA, restB);
}

function* checkedConfig(plugin: Plugin, { name, config }: ResolvedPlugin): Generator<void, unknown, void> {
  const checked = yield* plugin.checkedInSteps(config);
  if (checked.ok) return checked.config;
  const problems = checked.problems.map(({ path, message }) => `${path} ${message}`).join('; ');
  throw new Error(`plugin ${name}: ${problems}`);
}
