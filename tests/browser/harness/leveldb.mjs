/** What a power cut left of Chromium's IndexedDB, a LevelDB: whether one of its logs is torn.
 *
 *  Zeros stand there where a record was begun: the file system had made the new length durable, and not yet the bytes. In the midst
 *  of a record Chromium takes that for damage and throws the store away. Else it goes on behind the zeros, where its own
 *  next opening skips what was written. */

import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const BLOCK = 32768;
const HEADER = 7;

/** Whether zeros stand in `log` where a record should begin. */
export function isTorn(log) {
  for (let at = 0; at + HEADER <= log.length;) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) {
      at += left;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    if (length === 0 && log[at + 6] === 0) return true;
    at += HEADER + length;
  }
  return false;
}

const folder = profile => join(profile, 'Default', 'IndexedDB');

/** Whether a log of the IndexedDB of any origin is torn, but for those in buckets. */
export async function tornLogs(profile) {
  const names = await readdir(folder(profile), { recursive: true });
  const logs = await Promise.all(names.filter(name => name.endsWith('.log')).map(name => readFile(join(folder(profile), name))));
  return logs.some(isTorn);
}

/** Removes all of that IndexedDB, while no Chromium runs. */
export const removeIndexedDb = profile => rm(folder(profile), { recursive: true, force: true });
