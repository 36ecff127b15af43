/** Options of `sluice serve` as they were typed; an option that was not given is absent. */
export interface ServeFlags {
  readonly config?: string;
  readonly port?: number;
  readonly host?: string;
  readonly workers?: number;
  readonly listener?: 'auto' | 'uws' | 'node';
  readonly insecure?: true;
  readonly logLevel?: string;
  readonly logFormat?: 'json' | 'text';
  readonly dev?: true;
  readonly screen?: true;
}
