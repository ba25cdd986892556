/** The workload of page/workload.mjs, started and judged in tabs. */

import { judge } from '../page/workload.mjs';
import { evaluateWithin } from './tab.mjs';

/** Starts writing in a tab; what is acknowledged is told on `channel`. `stalled`: beside a feed of which one change is taken.
 *  Returns when the database is open. */
export function startWork(page, { database, storage, channel, stalled = false, ...work }) {
  return evaluateWithin(page, `opening ${database} to write`, async ({ database, storage, channel, stalled, work }) => {
    const workload = await import('/tests/page/workload.mjs');
    const db = await pumice.open(database, { storage });
    if (stalled) {
      window.feed = db.changes()[Symbol.asyncIterator]();
      window.feed.next();
    }
    window.working = workload.work(db, window.teller(channel), work);
  }, { database, storage, channel, stalled, work });
}

/** How many operations are acknowledged, as far as was heard on `channel`. */
export const acknowledged = (server, channel) => Math.max(0, ...server.told(channel).filter(Number.isFinite));

/** How often a database is opened that does not open in time: that says that the machine is slow, and nothing of the database. */
const ATTEMPTS = 4;
/** How long all of that, and reading the database, may take, in ms. */
const JUDGING = 300_000;

/** Opens a database in a tab and compares it with what `acknowledged` operations make. The verdict is 'intact', 'lost', 'wrong', or
 *  'refused' where it does not open. Leaves it open. */
export async function judgeIn(page, { database, storage, acknowledged, bytes }) {
  const found = await evaluateWithin(page, `opening and reading ${database}`, async ([database, storage, attempts]) => {
    const { contents } = await import('/tests/page/workload.mjs');
    for (let attempt = 1; ; attempt += 1) {
      try {
        return { contents: await contents(await pumice.open(database, { storage })) };
      } catch (error) {
        if (error.code !== 'timeout' || attempt === attempts) return { error: `${error.code}: ${error.message}` };
      }
    }
  }, [database, storage, ATTEMPTS], JUDGING);
  if (found.error !== undefined) return { verdict: 'refused', operations: 0, error: found.error };
  return judge(found.contents, acknowledged, bytes);
}
