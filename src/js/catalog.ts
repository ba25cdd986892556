/** Databases as a whole: listing them, and deleting one. */

import { PumiceError, told, wrapped } from './errors.js';
import type { Launch, Launched } from './launch.js';
import { isOpenHere, placesHere, requireBrowser } from './open.js';
import { type Errand, type Errands, lockName, type Task } from './protocol.js';
import { checkDatabase } from './text.js';

/** What a worker may take for an errand, in ms. */
const PATIENCE = 50_000;
/** How often deleting looks whether the database is free, and how long it waits in between, in ms. */
const TRIES = 20;
const PAUSE = 100;

export const deleteDatabaseWith = async (launch: Launch, name: string): Promise<void> => {
  checkDatabase(name);
  requireBrowser();
  // A tab that was just closed has its lock for a moment longer.
  for (let tries = 0; tries < TRIES && !await isOpenHere(name); tries++) {
    const isDone = await navigator.locks.request(lockName(name), { ifAvailable: true }, async lock => {
      if (lock !== null) await run(launch, { type: 'delete', name });
      return lock !== null;
    });
    if (isDone) return;
    await new Promise(resolve => { setTimeout(resolve, PAUSE); });
  }
  throw new PumiceError('busy', `the database '${name}' is open; close it in all tabs, then delete it`);
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

const run = async (launch: Launch, task: Task): Promise<string[] | undefined> => {
  const { worker, wasm } = launched(launch);
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
  worker.postMessage({ ...task, wasm: await wasm } satisfies Errand);
  return answer.finally(() => worker.terminate());
};
