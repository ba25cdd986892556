/** What a power cut or a kill left of Chromium's IndexedDB, a LevelDB, and of its list of the files in OPFS, which is another one.
 *
 *  After a power cut zeros may stand in a log where a record was begun: the file system had made the new length durable, and not
 *  yet the bytes. In the midst of a record Chromium takes that for damage and throws the store away. Else it goes on behind
 *  the zeros, where its own next opening skips what was written.
 *
 *  A kill may come between the header of a record and its bytes, which Chromium writes apart, or between the parts of one that goes
 *  over the end of a block. Its next opening passes over that and goes on behind it, so that the one after that takes what was
 *  written there for damage. */

import { appendFile, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const BLOCK = 32768;
const HEADER = 7;
/** The first part of a record, and one in its midst. */
const GOES_ON = [2, 3];

/** Where the whole parts of records in `log` end, and whether in zeros where one should begin, or in the midst of a record. */
export function endOf(log) {
  let [at, goesOn] = [0, false];
  while (at + HEADER <= log.length) {
    const left = BLOCK - (at % BLOCK);
    if (left < HEADER) {
      at += left;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    const kind = log[at + 6];
    if (length === 0 && kind === 0) return { at, zeros: true, cut: false };
    if (at + HEADER + length > log.length) return { at, zeros: false, cut: true };
    at += HEADER + length;
    goesOn = GOES_ON.includes(kind);
  }
  return { at, zeros: false, cut: goesOn || at < log.length };
}

const folder = profile => join(profile, 'Default', 'IndexedDB');
const opfs = profile => join(profile, 'Default', 'File System');

async function below(folder) {
  return (await readdir(folder, { recursive: true })).map(name => join(folder, name));
}

/** Files in logs' form of the IndexedDB of any origin, but for those in buckets: the logs, and the lists of files that there are. */
async function logs(profile, { lists }) {
  const names = await below(folder(profile));
  return names.filter(name => name.endsWith('.log') || (lists && basename(name).startsWith('MANIFEST-')));
}

async function haveZeros(logs) {
  const contents = await Promise.all(logs.map(name => readFile(name)));
  return contents.some(log => endOf(log).zeros);
}

/** Whether zeros stand in one of the logs. */
export const tornLogs = async profile => haveZeros(await logs(profile, { lists: false }));

/** Whether zeros stand in a log behind which a store had begun another one. Chromium makes a transaction durable by syncing the log that
 *  its end is in; where its beginning is in the one before, that may be gone, and the transaction with it. */
export async function tornOlderLog(profile) {
  const names = (await logs(profile, { lists: false })).sort();
  return haveZeros(names.filter((name, place) => place + 1 < names.length && dirname(names[place + 1]) === dirname(name)));
}

/** The logs of the lists of files in OPFS, one for each origin. */
const indexes = async profile => (await below(opfs(profile))).filter(name => name.endsWith('.log') && basename(dirname(name)) === 'Paths');

/** Whether zeros stand in the log of a list of files in OPFS. */
export const tornIndex = async profile => haveZeros(await indexes(profile));

/** Puts `tear` behind the lists of files in OPFS, while no Chromium runs. */
export async function tearIndex(profile, tear) {
  for (const log of await indexes(profile)) await appendFile(log, tear);
}

/** The files that end in the midst of a record, with their lengths. */
export async function cutLogs(profile) {
  const read = (await logs(profile, { lists: true })).map(async name => [name, await readFile(name)]);
  return (await Promise.all(read)).filter(([, log]) => endOf(log).cut).map(([name, log]) => ({ name, length: log.length }));
}

/** Whether one of them goes on now behind where it ended. */
export async function goesOn(cut) {
  const sizes = cut.map(({ name }) => stat(name).then(({ size }) => size, () => 0));
  return (await Promise.all(sizes)).some((size, place) => size > cut[place].length);
}

/** Removes all of that IndexedDB, while no Chromium runs. */
export const removeIndexedDb = profile => rm(folder(profile), { recursive: true, force: true });
