/** The leader's worker: has the database's files open and serves every tab. See `protocol.ts`.
 *
 *  Waits for `start`, and ends in one of four ways: it could not open (`failed`), was told to stop (`stopped`), was deposed, or
 *  crashed (`crashed`). It answers nothing after that. */

import { lockName, type Start, type ToWorker, workerLock } from './protocol.js';
import { openEngine } from './worker/open.js';
import { messageOf } from './worker/failure.js';
import { Service } from './worker/service.js';
import { post } from './worker/outbox.js';

let service: Service | undefined;
/** Resolves with what came while the database was being opened. */
let begun: Promise<void> | undefined;

addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'start') begun ??= begin(data);
  else if (service) service.receive(data);
  else void begun?.then(() => service?.receive(data));
});

const begin = async (start: Start): Promise<void> => {
  const { name, term, client } = start;
  const channel = new BroadcastChannel(lockName(name));
  try {
    const engine = await openEngine(start);
    await holdLock(workerLock(name, term));
    service = new Service(engine, name, term, client, channel);
  } catch (error) {
    channel.close();
    post({ type: 'failed', term, error: messageOf(error) });
  }
};

/** Takes the lock and keeps it for as long as this worker lives. */
const holdLock = (name: string): Promise<void> =>
  new Promise((held, failed) => {
    navigator.locks.request(name, () => {
      held();
      return new Promise<never>(() => {});
    }).catch(failed);
  });
