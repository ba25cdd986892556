/** `collection.getAll()`: a scan in large pieces, the next of which comes while one is parsed. */

import type { Answer } from './call.js';
import { type Calls, LOSSES } from './calls.js';
import { PumiceError } from './errors.js';
import { parse } from './pack.js';
import type { RangeMessage } from './protocol.js';

type Entry = [string, unknown];

/** Bytes of text in the first piece, which nothing can be done before, and in the others. */
const FIRST_PIECE = 256 << 10;
const PIECE = 1 << 20;

export const all = async (calls: Calls, collection: string, range: RangeMessage): Promise<Entry[]> => {
  for (let losses = 0; losses < LOSSES; losses += 1) {
    const entries = await attempt(calls, collection, range);
    if (entries !== undefined) return entries;
  }
  throw new PumiceError('io', `the leader was lost ${LOSSES} times while this call was under way`);
};

/** `undefined` when the leader that had the view is gone: the next one shows another. */
const attempt = async (calls: Calls, collection: string, range: RangeMessage): Promise<Entry[] | undefined> => {
  let term: string | undefined;
  let { text, cursor } = await new Promise<Piece>((resolve, reject) => {
    calls.request({ op: 'scan', collection, range, bytes: FIRST_PIECE }, ({ value }) => {
      term = calls.term;
      resolve(value as Piece);
    }, reject);
  });
  if (cursor === undefined) return parse(text) as Entry[];
  const entries: Entry[] = [];
  while (cursor !== undefined) {
    if (calls.term !== term) return undefined;
    const coming = next(calls, cursor);
    for (const entry of parse(text) as Entry[]) entries.push(entry);
    const piece = await coming;
    if (piece === undefined) return undefined;
    ({ text, cursor } = piece);
  }
  for (const entry of parse(text) as Entry[]) entries.push(entry);
  return entries;
};

interface Piece { text: Uint8Array; cursor?: number }

const next = (calls: Calls, cursor: number): Promise<Piece | undefined> => new Promise((resolve, reject) => {
  calls.request({ op: 'next', cursor, bytes: PIECE }, ({ value }: Answer) => { resolve(value as Piece); }, reject,
    () => { resolve(undefined); });
});
