/** Options of `sluice stdio` as they were typed; an option that was not given is absent. */
export interface StdioFlags {
  readonly config?: string;
  readonly upstream?: string;
  readonly connect?: string;
  /** `Name: value`, in the order given. */
  readonly header?: readonly string[];
  readonly logLevel?: string;
  readonly logFormat?: 'json' | 'text';
}
