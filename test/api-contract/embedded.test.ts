import { EmbeddedApiserver, adminToken } from '../../embedded-apiserver/embedded-apiserver.ts';
import { systemClock } from '../../runtime/clock.ts';
import { describeApiContract } from './contract.ts';

describe('the embedded API server', () => {
  describeApiContract(async () => {
    const server = new EmbeddedApiserver({ clock: systemClock });
    const stop = new AbortController();
    const running = server.run(stop.signal);
    await server.listening;
    // So that version 1 is forgotten, as etcd's compaction and the watch cache's bounds have it.
    server.compact();
    return {
      target: { url: server.url, caPem: server.caPem, credential: { token: adminToken } },
      async stop() {
        stop.abort();
        await running;
      },
    };
  });
});
