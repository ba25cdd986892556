/** An embedded JSON document database in the browser: many tabs, one engine, files that outlive crashes.
 *
 *  Importing this does nothing, anywhere: it is safe on a server. */

import { deleteDatabaseWith, listDatabasesWith } from './catalog.js';
import { launch } from './launch.js';
import { openWith } from './open.js';
import type { Database, OpenOptions } from './types.js';

export { PumiceError, type ErrorCode } from './errors.js';
export type {
  Batch, Change, Collection, Database, Durability, Encryption, Json, OpenOptions, Range, Stats, Status, StorageKind, WriteOptions,
} from './types.js';

/** Opens (or creates) the database `name`: 1 to 100 characters without separators and control characters, not `.` or
 *  `..`. Any number of tabs may have it open; one of them leads.
 *
 *  Rejects with `unsupported` outside of a browser, `busy` when something else keeps the files, `corrupt` when they
 *  are damaged, `version` when another tab or the files are of a newer version, `invalid-argument` and `too-large`
 *  for name and options, `timeout` when no leader answers. */
export const open = (name: string, options?: OpenOptions): Promise<Database> => openWith(launch, name, options);

/** Deletes a database that no tab has open (`busy` otherwise), for good. An unknown name resolves. */
export const deleteDatabase = (name: string): Promise<void> => deleteDatabaseWith(launch, name);

/** The names of the databases of this origin, in order. */
export const listDatabases = (): Promise<string[]> => listDatabasesWith(launch);
