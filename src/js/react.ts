/** React hooks that show documents as they are now, in every tab.
 *
 *  Both give `{ data, loading, error }`. `data` is undefined while `loading`; after that it is what the database holds, and
 *  the same object from render to render until that changes. What cannot be read is an `error`, beside the last `data`. A
 *  collection that is not there yet (`db?.collection('notes')`) is loading, and so is everything on a server. */

import { useCallback, useSyncExternalStore } from 'react';
import { follow, type Live, LOADING, snapshotOf, type Source } from './live.js';
import { documentSource, type Entries, rangeSource } from './sources.js';
import type { Collection, Json, Range } from './types.js';

export type { Entries, Live };

/** One document; `data` is undefined where there is none. */
export function useDocument<T = Json>(collection: Collection<T> | undefined, key: string): Live<T | undefined> {
  return useLive(collection, documentSource(collection, key));
}

/** The documents of a range, all by default, as an array of `[key, document]` in the order of the keys. The range may be
 *  written in place: it is the same one as long as it says the same. */
export function useCollection<T = Json>(collection: Collection<T> | undefined, range?: Range): Live<Entries<T>> {
  return useLive(collection, rangeSource(collection, range));
}

function useLive<T, D>(collection: Collection<T> | undefined, source: Source<T, D>): Live<D> {
  // Sources with the same id are the same, whichever render made them.
  const subscribe = useCallback(
    (listener: () => void) => (collection ? follow(collection, source, listener) : () => {}),
    [collection, source.id],
  );
  return useSyncExternalStore(subscribe, () => snapshotOf(collection, source), () => LOADING);
}
