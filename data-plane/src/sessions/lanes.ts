/** Two parts of a worker speak with their like of another worker, over one pipe. */
import type { BusMessage, Pipe } from './node-bus.js';

type MessageOn<L extends BusMessage['lane']> = Extract<BusMessage, { lane: L }>['message'];

/** Each lane keeps its order; closing one closes the pipe. */
export function lanesOf(pipe: Pipe): {
  requests: Pipe<MessageOn<'requests'>>;
  upstreams: Pipe<MessageOn<'upstreams'>>;
} {
  let ofRequests: (message: MessageOn<'requests'>) => void = () => {};
  let ofUpstreams: (message: MessageOn<'upstreams'>) => void = () => {};
  pipe.onMessage((sent) => {
    if (sent.lane === 'requests') ofRequests(sent.message);
    else ofUpstreams(sent.message);
  });
  const both = {
    onClose: (listener: () => void) => pipe.onClose(listener),
    close: () => pipe.close(),
  };
  return {
    requests: {
      ...both,
      post: (message) => pipe.post({ lane: 'requests', message }),
      onMessage: (listener) => {
        ofRequests = listener;
      },
    },
    upstreams: {
      ...both,
      post: (message) => pipe.post({ lane: 'upstreams', message }),
      onMessage: (listener) => {
        ofUpstreams = listener;
      },
    },
  };
}
