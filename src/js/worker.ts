/** The leader's worker: has the database's files open and serves every tab. See `protocol.ts`.
 *
 *  Waits for `start`, and ends in one of four ways: it could not open (`failed`), was told to stop (`stopped`), was deposed, or
 *  crashed (`crashed`). It answers nothing after that. Sent an errand instead, it does that. */

import { type Errand, lockName, type Start, type ToWorker, workerLock } from './protocol.js';
import { run } from './worker/errand.js';
import { messageOf } from './worker/failure.js';
import { openEngine } from './worker/open.js';
import { post } from './worker/outbox.js';
import { Service } from './worker/service.js';

let service: Service | undefined;
/** Resolves when the database is open, or could not be opened. */
let begun: Promise<void> | undefined;

// Loaded on a server, this module must do nothing.
globalThis.addEventListener?.('message', ({ data }: MessageEvent<ToWorker | Errand>) => {
  switch (data.type) {
    case 'start':
      begun ??= begin(data);
      break;
    case 'list':
    case 'delete':
      void run(data).then(answer => { post(answer); });
      break;
    default:
      // What comes while the database is being opened waits for that.
      if (service) service.receive(data);
      else void begun?.then(() => { service?.receive(data); });
  }
});

const begin = async (start: Start): Promise<void> => {
  const { name, term, client, proof } = start;
  try {
    const [engine] = await Promise.all([openEngine(start), holdLock(workerLock(name, term))]);
    service = new Service(engine, name, term, client, proof, new BroadcastChannel(lockName(name)));
  } catch (error) {
    post({ type: 'failed', term, error: messageOf(error) });
    close();
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
