/** What nodes were asked for and have not answered yet. */
import { randomUUID } from 'node:crypto';
import type { ConnectionList } from '@sluice/proto/cluster';
import { NodeUnreachableError } from './fleet-view.js';

/** A node that takes longer is not answering. */
const ANSWER_WITHIN_MS = 5_000;

interface Asked {
  readonly node: string;
  readonly settle: (list: ConnectionList) => void;
  readonly fail: (error: Error) => void;
}

export class AskedNodes {
  private readonly open = new Map<string, Asked>();

  /**
   * @param send is given what the answer has to name; when it rejects, so does this
   * @throws NodeUnreachableError when it does not answer in time
   */
  ask(node: string, send: (request: string) => void | Promise<void>): Promise<ConnectionList> {
    const request = randomUUID();
    return new Promise<ConnectionList>((resolve, reject) => {
      const end = () => {
        clearTimeout(late);
        this.open.delete(request);
      };
      const fail = (error: Error) => {
        end();
        reject(error);
      };
      const late = setTimeout(
        fail,
        ANSWER_WITHIN_MS,
        new NodeUnreachableError(`node ${node} has not answered within ${ANSWER_WITHIN_MS / 1_000} s`),
      ).unref();
      const settle = (list: ConnectionList) => {
        end();
        resolve(list);
      };
      this.open.set(request, { node, settle, fail });
      void Promise.resolve(send(request)).catch(fail);
    });
  }

  /** False for what nobody here asked this node for. */
  answered(list: ConnectionList): boolean {
    const asked = this.open.get(list.request);
    if (asked?.node !== list.node) return false;
    asked.settle(list);
    return true;
  }

  close(): void {
    for (const { fail } of [...this.open.values()]) fail(new NodeUnreachableError('the control plane ends'));
  }
}
