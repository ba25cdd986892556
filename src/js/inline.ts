/** The same as `pumice`, in one module that loads nothing else: for bundlers and hosts that lose sight of worker or wasm.
 *
 *  It weighs more, and is parsed whole. A page's content security policy must allow `worker-src blob:`. */

import { deleteDatabaseWith, listDatabasesWith } from './catalog.js';
import { launchInline } from './launch_inline.js';
import { openWith } from './open.js';
import type { Database, OpenOptions } from './types.js';

export { PumiceError, type ErrorCode } from './errors.js';
export type * from './types.js';

/** Opens (or creates) the database `name`: as `open` of `pumice` does. */
export const open = (name: string, options?: OpenOptions): Promise<Database> => openWith(launchInline, name, options);

/** Deletes a database that no tab has open (`busy` otherwise), for good. An unknown name resolves. */
export const deleteDatabase = (name: string): Promise<void> => deleteDatabaseWith(launchInline, name);

/** The names of the databases of this origin, in order. */
export const listDatabases = (): Promise<string[]> => listDatabasesWith(launchInline);
