/** The plugins that come with the gateway, as the admin API lists them. */
import { create } from '@bufbuild/protobuf';
import { BUILT_IN, builtIn } from '@sluice/plugins';
import { type PluginDescription, PluginDescriptionSchema } from '@sluice/proto/admin';

export function builtInCatalogue(): readonly PluginDescription[] {
  return BUILT_IN.flatMap((name) => {
    const plugin = builtIn(name);
    if (plugin === undefined) return [];
    const { description, phase, config } = plugin;
    return create(PluginDescriptionSchema, {
      name,
      summary: description,
      phase,
      configSchemaJson: JSON.stringify(config),
    });
  });
}
