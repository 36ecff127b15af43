/**
 * Bytes as they should be posted to another thread: a view of something larger, like everything that comes from
 * Node's buffer pool or out of a chunk of a socket, would take the whole of it along.
 */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
