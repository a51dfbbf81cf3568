// The decisions alone: servers only say what they are told to do.
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import type { ApiServer } from './api-server.ts';
import type { PathStatus } from './cloud-state.ts';
import { RelayedServers } from './relayed-servers.ts';

function make(): { servers: RelayedServers; told: string[]; found: (status: PathStatus) => void } {
  const told: string[] = [];
  let status: PathStatus = 'lost';
  const server = {
    get status() {
      return status;
    },
    seek: () => void told.push('seek'),
    rest: () => void told.push('rest'),
  } as unknown as ApiServer;
  const servers = new RelayedServers(
    { log: nullLog, clock: systemClock, random: () => 0, servers: [server], checkOwn: () => undefined },
    { steadyMinMs: 60_000, steadyMaxMs: 60_000 },
  );
  return { servers, told, found: (now) => void (status = now) };
}

test('a relay that is sought because it may be needed is not used yet', () => {
  const { servers, told, found } = make();
  servers.prepare(true);
  found('reachable');
  expect(told).toEqual(['seek']);
  expect(servers.reachable).toBe(false);
  expect(servers.choose(undefined)).toBeUndefined();
});

test('it is left when it was not needed', () => {
  const { servers, told } = make();
  servers.prepare(true);
  servers.prepare(false);
  expect(told).toEqual(['seek', 'rest']);
});

test('it is used at once when it is needed, and is not left because the doubt is over', () => {
  const { servers, told, found } = make();
  servers.prepare(true);
  found('reachable');
  servers.ownChanged(false);
  servers.prepare(false);
  expect(servers.reachable).toBe(true);
  expect(told).not.toContain('rest');
});
