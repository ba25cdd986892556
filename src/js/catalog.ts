/** Databases as a whole: listing them, and deleting one. */

import { PumiceError, told, wrapped } from './errors.js';
import type { Launch, Launched } from './launch.js';
import { isOpenHere, placesHere, requireBrowser } from './open.js';
import { type Errand, type Errands, lockName } from './protocol.js';
import { checkDatabase } from './text.js';

/** What a worker may take for an errand, in ms. */
const PATIENCE = 50_000;

export const deleteDatabaseWith = async (launch: Launch, name: string): Promise<void> => {
  checkDatabase(name);
  requireBrowser();
  const busy = new PumiceError('busy', `the database '${name}' is open; close it in all tabs, then delete it`);
  if (isOpenHere(name)) throw busy;
  await navigator.locks.request(lockName(name), { ifAvailable: true }, async lock => {
    if (lock === null) throw busy;
    await run(launch, { type: 'delete', name });
  });
};

export const listDatabasesWith = async (launch: Launch): Promise<string[]> => {
  requireBrowser();
  return await run(launch, { type: 'list' }) ?? [];
};

const launched = (launch: Launch): Launched => {
  try {
    return launch(placesHere());
  } catch (cause) {
    throw wrapped('io', 'the worker could not be started', cause);
  }
};

const run = async (launch: Launch, errand: Errand): Promise<string[] | undefined> => {
  const { worker, ...wasm } = launched(launch);
  const answer = new Promise<string[] | undefined>((resolve, reject) => {
    const timer = setTimeout(() => reject(new PumiceError('timeout', 'the worker did not answer in time')), PATIENCE);
    worker.onmessage = ({ data }: MessageEvent<Errands>) => {
      clearTimeout(timer);
      if (data.type === 'done') resolve(data.names);
      else reject(told(data.error));
    };
    worker.onerror = event => {
      event.preventDefault();
      clearTimeout(timer);
      reject(wrapped('io', 'the worker could not be run', event.message));
    };
  });
  worker.postMessage({ ...errand, ...wasm });
  return answer.finally(() => worker.terminate());
};
