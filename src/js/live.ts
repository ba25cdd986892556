/** Data that follows its database, for any user interface that renders from snapshots.
 *
 *  Whoever follows the same thing shares one subscription and one read. A snapshot stays the very same object until
 *  something in it changed. */

import type { PumiceError } from './errors.js';
import type { Change, Collection, Range } from './types.js';

/** What a component sees. `data` stays while an error is told. */
export type Live<D> =
  | { readonly data: undefined; readonly loading: true; readonly error: undefined }
  | { readonly data: D; readonly loading: false; readonly error: undefined }
  | { readonly data: D | undefined; readonly loading: false; readonly error: PumiceError };

/** What is followed: how to read it whole, and what changes make of it. */
export interface Source<T, D> {
  /** Equal for what is the same thing of one collection. */
  id: string;
  /** Whose changes matter. */
  range: Range;
  read(): Promise<D>;
  /** Leaves `data` as it is; returns it where nothing changed. `stale` says that it must be read anew. */
  apply(data: D, changes: Change<T>[]): { data: D; stale?: boolean };
}

export const LOADING = Object.freeze({ data: undefined, loading: true, error: undefined }) satisfies Live<never>;

const shared = new WeakMap<object, Map<string, Following<any, any>>>();

/** Before somebody follows it, and where there is no collection yet, it is loading. */
export function snapshotOf<T, D>(collection: Collection<T> | undefined, source: Source<T, D>): Live<D> {
  return (collection && shared.get(collection)?.get(source.id)?.snapshot) ?? LOADING;
}

/** Calls `listener` after each change of the snapshot until the function that it returns is called. */
export function follow<T, D>(collection: Collection<T>, source: Source<T, D>, listener: () => void): () => void {
  const all = shared.get(collection) ?? new Map<string, Following<T, D>>();
  shared.set(collection, all);
  const following = all.get(source.id) ?? new Following(collection, source);
  all.set(source.id, following);
  following.listeners.add(listener);
  return () => {
    following.listeners.delete(listener);
    // Not at once: a component that is mounted again in the same turn, as StrictMode does, finds it running.
    setTimeout(() => {
      if (following.listeners.size > 0 || all.get(source.id) !== following) return;
      all.delete(source.id);
      following.stop();
    });
  };
}

class Following<T, D> {
  snapshot: Live<D> = LOADING;
  readonly listeners = new Set<() => void>();
  stop: () => void = () => {};
  /** What came while a read was on its way; undefined while there is none. */
  #pending: Change<T>[] | undefined;

  constructor(collection: Collection<T>, readonly source: Source<T, D>) {
    try {
      // Before the first read, so that nothing falls between the two.
      this.stop = collection.subscribe(source.range, changes => this.#changed(changes));
      this.#read();
    } catch (error) {
      this.#fail(error as PumiceError);
    }
  }

  #read(): void {
    this.#pending = [];
    this.source.read().then(
      data => {
        const pending = this.#pending ?? [];
        this.#pending = undefined;
        this.#apply(data, pending);
      },
      (error: PumiceError) => {
        this.#pending = undefined;
        this.#fail(error);
      },
    );
  }

  #changed(changes: Change<T>[]): void {
    if (this.#pending) this.#pending = this.#pending.concat(changes);
    else if (this.snapshot.loading || this.snapshot.error) this.#read();
    else this.#apply(this.snapshot.data, changes);
  }

  /** The read may have seen some of these changes. Done again in order, they lead to the same end. */
  #apply(before: D, changes: Change<T>[]): void {
    const { data, stale } = this.source.apply(before, changes);
    const { snapshot } = this;
    if (snapshot.loading || snapshot.error || snapshot.data !== data) {
      this.#show({ data, loading: false, error: undefined });
    }
    if (stale) this.#read();
  }

  #fail(error: PumiceError): void {
    this.#show({ data: this.snapshot.data, loading: false, error });
  }

  #show(snapshot: Live<D>): void {
    this.snapshot = snapshot;
    for (const listener of this.listeners) listener();
  }
}
