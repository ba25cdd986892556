/** `collection.getAll()`: a scan in pieces, the next of which come while one is parsed. */

import type { Answer } from './call.js';
import { type Calls, LOSSES } from './calls.js';
import { PumiceError } from './errors.js';
import { parse } from './pack.js';
import type { RangeMessage } from './protocol.js';

type Entry = [string, unknown];

/** Bytes of text in a piece. */
const PIECE = 256 << 10;
/** So many pieces are asked for at a time: a message takes about as long as a piece. */
const AHEAD = 2;

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
    calls.request({ op: 'scan', collection, range, bytes: PIECE }, ({ value }) => {
      term = calls.term;
      resolve(value as Piece);
    }, reject);
  });
  if (cursor === undefined) return parse(text) as Entry[];
  const [entries, coming]: [Entry[], Promise<Piece | undefined>[]] = [[], []];
  for (;;) {
    if (cursor !== undefined && calls.term !== term) return undefined;
    while (cursor !== undefined && coming.length < AHEAD) coming.push(next(calls, cursor));
    for (const entry of parse(text) as Entry[]) entries.push(entry);
    if (cursor === undefined) return entries;
    const piece = await coming.shift();
    if (piece === undefined) return undefined;
    ({ text, cursor } = piece);
  }
};

interface Piece { text: Uint8Array; cursor?: number }

const next = (calls: Calls, cursor: number): Promise<Piece | undefined> => {
  const piece = new Promise<Piece | undefined>((resolve, reject) => {
    calls.request({ op: 'next', cursor, bytes: PIECE }, ({ value }: Answer) => { resolve(value as Piece); }, reject,
      () => { resolve(undefined); });
  });
  // Behind the last one there is none, and nobody looks.
  piece.catch(() => {});
  return piece;
};
