/** What the benchmark tells the program with light nodes. */
export type LightNodesOrder =
  | {
      readonly type: 'start';
      readonly count: number;
      /** Begins their names. */
      readonly prefix: string;
      /** `host:port`. */
      readonly controlPlane: string;
      readonly token: string;
      /** Absent: without. */
      readonly nats?: string | undefined;
    }
  | { readonly type: 'count' };

/** What it answers to `count`. */
export interface LightNodesReport {
  /** By all its nodes since they started, as encoded messages. */
  readonly receivedBytes: number;
}
