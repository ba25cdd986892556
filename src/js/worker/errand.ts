/** What a worker is started for that opens no database. */

import { deleteDatabase, listDatabases } from '../../../pkg/pumice.js';
import type { Errand, Errands } from '../protocol.js';
import { messageOf } from './failure.js';
import { loadWasm } from './open.js';

export const run = async (errand: Errand): Promise<Errands> => {
  try {
    await loadWasm(errand.wasm);
    if (errand.type === 'list') return { type: 'done', names: await listDatabases() };
    await deleteDatabase(errand.name);
    return { type: 'done' };
  } catch (error) {
    return { type: 'refused', error: messageOf(error) };
  }
};
