/** Ranges of keys: checking them, and telling which keys are inside. */

import { PumiceError } from './errors.js';
import type { RangeMessage } from './protocol.js';
import { checkText } from './text.js';

/** A range that may be sent: only its own members, all of the right type. Throws `invalid-argument`. */
export const checkRange = (range: unknown): RangeMessage => {
  if (range === undefined) return {};
  if (typeof range !== 'object' || range === null) throw invalid('a range must be an object');
  const { prefix, from, to, reverse, limit } = range as Record<string, unknown>;
  const checked: RangeMessage = {};
  if (prefix !== undefined) checked.prefix = checkText(prefix, 'the prefix of a range');
  if (from !== undefined) checked.from = checkText(from, 'the start of a range');
  if (to !== undefined) checked.to = checkText(to, 'the end of a range');
  if (reverse !== undefined) {
    if (typeof reverse !== 'boolean') throw invalid('`reverse` must be true or false');
    checked.reverse = reverse;
  }
  if (limit !== undefined) {
    if (!Number.isSafeInteger(limit) || (limit as number) < 0) throw invalid('`limit` must be a whole number from 0');
    checked.limit = limit as number;
  }
  return checked;
};

const invalid = (message: string): PumiceError => new PumiceError('invalid-argument', message);

export const contains = ({ prefix, from, to }: RangeMessage, key: string): boolean =>
  (prefix === undefined || key.startsWith(prefix))
  && (from === undefined || compareKeys(key, from) >= 0)
  && (to === undefined || compareKeys(key, to) < 0);

/** Whether the range limits the keys at all. */
export const isWhole = ({ prefix, from, to }: RangeMessage): boolean => !prefix && !from && to === undefined;

/** What of `range` is left behind `key`, in its own direction, after `taken` entries. */
export const behind = (range: RangeMessage, key: string, taken: number): RangeMessage => ({
  ...range,
  // The next possible key is this one with the smallest character behind it.
  ...(range.reverse ? { to: key } : { from: `${key}\0` }),
  ...(range.limit === undefined ? {} : { limit: range.limit - taken }),
});

/** The order of the UTF-8 bytes. That of JavaScript's strings differs: it puts U+10000 and above before U+E000. */
export const compareKeys = (a: string, b: string): number => {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
};

const rank = (unit: number): number => unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
