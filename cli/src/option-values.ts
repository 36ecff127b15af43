/** Values of options that several commands have. */
import { InvalidArgumentError } from 'commander';

/** It is a part of subjects of NATS, and the same for nodes, control planes and whoever collects from them. */
const CLUSTER_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** For an option that may be given several times. */
export function collected(value: string, earlier: readonly string[] | undefined): readonly string[] {
  return [...(earlier ?? []), value];
}

/** Given several times, or with commas between, as variables are. */
export function listed(value: string, earlier: readonly string[] | undefined): readonly string[] {
  const own = value
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
  if (own.length === 0) throw new InvalidArgumentError('Give at least one.');
  return [...(earlier ?? []), ...own];
}

export function replicas(text: string): number {
  if (['1', '3', '5'].includes(text)) return Number(text);
  throw new InvalidArgumentError('NATS keeps 1, 3 or 5 copies.');
}

export function clusterName(text: string): string {
  if (CLUSTER_NAME.test(text)) return text;
  throw new InvalidArgumentError('Give up to 63 lower-case letters, digits and `-`.');
}
