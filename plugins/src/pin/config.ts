/** What an operator says about pinned tools. */
import { type Static, TargetPattern, Type } from '@sluice/sdk';

export const Config = Type.Object(
  {
    targets: Type.Array(TargetPattern(), {
      default: ['*:*'],
      minItems: 1,
      maxItems: 1_000,
      description: 'Tools that are pinned, by `upstream:name` with `*`.',
    }),
    new: Type.Union([Type.Literal('hold'), Type.Literal('accept')], {
      default: 'hold',
      description:
        'What happens to a tool that nobody has accepted: `hold` hides and refuses it, `accept` takes what is seen first for accepted.',
    }),
    changed: Type.Union([Type.Literal('serve_old'), Type.Literal('hide')], {
      default: 'serve_old',
      description:
        'What lists show of a tool that has changed: the definition that was accepted, or nothing.',
    }),
    calls: Type.Union([Type.Literal('compatible'), Type.Literal('deny'), Type.Literal('allow')], {
      default: 'compatible',
      description:
        'Calls of a tool that has changed and is still shown: `compatible` lets them pass unless the change is breaking, `deny` refuses and `allow` lets pass all.',
    }),
    accepted: Type.Record(Type.String(), Type.Record(Type.String(), Type.String()), {
      default: {},
      description:
        'Definitions that were accepted, as JSON text, by upstream and tool. `sluice pin accept` writes them into `sluice.pins.json` beside the configuration file, from where they come here.',
    }),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;
