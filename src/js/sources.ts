/** What can be followed: one document, or a range of a collection as a sorted array. */

import type { Source } from './live.js';
import { compareKeys } from './range.js';
import type { Change, Collection, Range } from './types.js';

export function documentSource<T>(collection: Collection<T> | undefined, key: string): Source<T, T | undefined> {
  return {
    id: `document ${key}`,
    // Not from `key` to the next one, which a key of full length has no room for.
    range: { prefix: key },
    read: () => collection!.get(key),
    apply: (data, changes) => {
      const last = changes.findLast(change => change.key === key || change.type === 'drop');
      return { data: last ? last.document : data };
    },
  };
}

export type Entries<T> = readonly (readonly [key: string, document: T])[];

export function rangeSource<T>(collection: Collection<T> | undefined, range: Range = {}): Source<T, Entries<T>> {
  const { prefix, from, to, reverse, limit } = range;
  const bounds: Range = {};
  if (prefix !== undefined) bounds.prefix = prefix;
  if (from !== undefined) bounds.from = from;
  if (to !== undefined) bounds.to = to;
  return {
    id: `range ${JSON.stringify([prefix, from, to, reverse, limit])}`,
    range: bounds,
    read: () => collection!.getAll(range),
    apply: (data, changes) => merge(data, changes, reverse === true, limit ?? Infinity),
  };
}

/** Merges what the changes leave of each key into sorted entries. A window that `limit` has filled says nothing of what
 *  is behind its last key: if it is no longer full up to there, it must be read anew. */
export function merge<T>(
  entries: Entries<T>, changes: Change<T>[], reverse: boolean, limit: number,
): { data: Entries<T>; stale?: boolean } {
  if (changes.length === 0 || limit === 0) return { data: entries };
  const order = reverse ? (a: string, b: string) => compareKeys(b, a) : compareKeys;
  const dropped = changes.findLastIndex(change => change.type === 'drop');
  const last = new Map<string, Change<T>>();
  for (const change of changes.slice(dropped + 1)) last.set(change.key!, change);
  const changed = [...last.values()].sort((a, b) => order(a.key!, b.key!));

  const old = dropped < 0 ? entries : [];
  const data: [string, T][] = [];
  let at = 0;
  for (const { key, type, document } of changed) {
    for (; at < old.length && order(old[at]![0], key!) < 0; at++) data.push(old[at] as [string, T]);
    if (at < old.length && old[at]![0] === key) at++;
    if (type === 'put') data.push([key!, document!]);
  }
  for (; at < old.length; at++) data.push(old[at] as [string, T]);

  const end = old.length < limit ? undefined : old.at(-1)![0];
  const known = end === undefined ? data : data.filter(([key]) => order(key, end) <= 0);
  const window = known.slice(0, limit);
  return { data: same(entries, window) ? entries : window, stale: end !== undefined && window.length < limit };
}

const same = <E>(a: readonly E[], b: readonly E[]): boolean =>
  a.length === b.length && a.every((entry, i) => entry === b[i]);
