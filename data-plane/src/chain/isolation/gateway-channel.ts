/** The end of the talk with the gateway in the program of a process that runs a plugin. */
import { Socket } from 'node:net';
import type { FromPlugin, ToPlugin } from '@sluice/sdk/isolation';
import { FrameReader, frame, frameOfText } from './frames.js';

/** Where the gateway puts its end; see spawn-program.ts. */
const CHANNEL_DESCRIPTOR = 3;

export class GatewayChannel {
  private readonly socket = new Socket({ fd: CHANNEL_DESCRIPTOR, readable: true, writable: true });

  /** Ends this process when the gateway is gone. */
  constructor(
    private readonly maxMessageBytes: number,
    receive: (message: ToPlugin) => void,
  ) {
    const { exit } = process;
    const reader = new FrameReader(maxMessageBytes, (message) => receive(message as ToPlugin));
    this.socket.on('data', (chunk) => reader.push(chunk));
    this.socket.on('close', () => exit(0));
    this.socket.on('error', () => exit(0));
  }

  /** Throws a RangeError for what the gateway would not take. */
  post(message: FromPlugin): void {
    this.write(frame(message));
  }

  /** A message that is JSON already. */
  postText(message: string): void {
    this.write(frameOfText(message));
  }

  private write(bytes: Buffer): void {
    if (bytes.byteLength > this.maxMessageBytes)
      throw new RangeError(
        `${bytes.byteLength} bytes; the gateway takes ${this.maxMessageBytes} from a plugin`,
      );
    this.socket.write(bytes);
  }
}
