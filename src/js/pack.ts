/** Calls on their way into a message: numbered, and with their documents as bytes. */

import type { Call } from './protocol.js';
import { utf8Length } from './text.js';
import type { Durability } from './types.js';

/** A write as the tab keeps it: its text stays a string, for the bytes are given away when they are sent, and may
 *  have to be sent again. */
export type Write =
  | { op: 'batch'; text: string; durability: Durability }
  | { op: 'putMany'; collection: string; text: string; durability: Durability }
  | { op: 'delete'; collection: string; key: string; durability: Durability };

type Plain<C> = C extends { n: number } ? never : C extends unknown ? Omit<C, 'id'> : never;

/** A call without what its sending adds. */
export type Body = Write | Plain<Call>;

export const isWrite = (body: Body): body is Write => 'durability' in body;

/** How many characters are joined at most before they are encoded. */
const JOIN_AT_MOST = 1 << 26;

let encoder: TextEncoder | undefined;

/** The calls of one message, and the buffers that may be transferred with it. `done`: all writes with lower numbers
 *  are settled. */
export const pack = (
  calls: readonly { id: number; body: Body; n: number | undefined }[], done: number,
): { calls: Call[]; transfer: ArrayBuffer[] } => {
  const texts: string[] = [];
  for (const { body } of calls) if ('text' in body) texts.push(body.text);
  const bytes = encode(texts);
  let taken = 0;
  const packed = calls.map(({ id, body, n }) => {
    if (!isWrite(body)) return { id, ...body };
    if ('text' in body) return { id, ...body, text: bytes[taken++]!, n: n!, done };
    return { id, ...body, n: n!, done };
  });
  return { calls: packed, transfer: [...new Set(bytes.map(({ buffer }) => buffer))] };
};

/** One call of the encoder and one buffer for all, of which each text has its part. */
const encode = (texts: string[]): Uint8Array<ArrayBuffer>[] => {
  encoder ??= new TextEncoder();
  const utf8 = encoder;
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (texts.length < 2 || length > JOIN_AT_MOST) return texts.map(text => utf8.encode(text));
  const whole = utf8.encode(texts.join(''));
  const ascii = whole.length === length;
  let at = 0;
  return texts.map(text => whole.subarray(at, at += ascii ? text.length : utf8Length(text)));
};

let decoder: TextDecoder | undefined;

/** The JSON that came as bytes. */
export const parse = (bytes: Uint8Array): unknown => {
  decoder ??= new TextDecoder();
  return JSON.parse(decoder.decode(bytes));
};
