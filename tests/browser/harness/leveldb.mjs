/** What a power cut or a kill left of Chromium's IndexedDB, a LevelDB.
 *
 *  After a power cut zeros may stand in a log where a record was begun: the file system had made the new length durable, and not
 *  yet the bytes. In the midst of a record Chromium takes that for damage and throws the store away. Else it goes on behind
 *  the zeros, where its own next opening skips what was written.
 *
 *  A kill may come between the header of a record and its bytes, which Chromium writes apart. Its next opening passes over the
 *  header and goes on behind it, so that the one after that takes what was written there for damage. */

import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK = 32768;
const HEADER = 7;

/** Where the records of `log` end, and whether in zeros where one should begin, or in the midst of one. */
export function endOf(log) {
  let at = 0;
  while (at + HEADER <= log.length) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) {
      at += left;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    if (length === 0 && log[at + 6] === 0) return { at, zeros: true, cut: false };
    if (at + HEADER + length > log.length) break;
    at += HEADER + length;
  }
  return { at, zeros: false, cut: at < log.length };
}

const folder = profile => join(profile, 'Default', 'IndexedDB');

/** The logs of the IndexedDB of any origin, but for those in buckets. */
async function logs(profile) {
  const names = await readdir(folder(profile), { recursive: true });
  return Promise.all(names.filter(name => name.endsWith('.log')).map(name => readFile(join(folder(profile), name))));
}

/** Whether zeros stand in one of the logs. */
export const tornLogs = async profile => (await logs(profile)).some(log => endOf(log).zeros);

/** How long a log is that ends in the midst of a record; `undefined` when none does. */
export const cutLength = async profile => (await logs(profile)).find(log => endOf(log).cut)?.length;

/** Whether a log is longer than `length`. */
export const goesOnBehind = async (profile, length) => (await logs(profile)).some(log => log.length > length);

/** Removes all of that IndexedDB, while no Chromium runs. */
export const removeIndexedDb = profile => rm(folder(profile), { recursive: true, force: true });
