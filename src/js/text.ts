/** Strings on their way into a database: what they may be, and how long they are as UTF-8. */

import { PumiceError, wrapped } from './errors.js';

/** Bytes of UTF-8; of a document's JSON text. */
const COLLECTION_BYTES = 255;
const KEY_BYTES = 1024;
const DOCUMENT_BYTES = 16 << 20;
/** Characters of a database's name. */
const NAME_CHARACTERS = 100;

/** Matches a surrogate that is not half of a pair. */
const LONE_SURROGATE = /\p{Cs}/u;
const CONTROL = /\p{Cc}/u;

/** Any text that UTF-8 can hold. Throws `invalid-argument`. */
export const checkText = (value: unknown, what: string): string => {
  if (typeof value !== 'string') throw new PumiceError('invalid-argument', `${what} must be a string`);
  if (LONE_SURROGATE.test(value)) throw new PumiceError('invalid-argument', `${what} must not have a lone surrogate`);
  return value;
};

/** Throws `invalid-argument` or `too-large`. */
export const checkKey = (key: unknown): string => bounded(checkText(key, 'a key'), 'a key', KEY_BYTES);

/** Throws `invalid-argument` or `too-large`. */
export const checkCollection = (name: unknown): string => {
  const what = "a collection's name";
  return bounded(withoutControls(checkText(name, what), what), what, COLLECTION_BYTES);
};

/** Throws `invalid-argument` or `too-large`. */
export const checkDatabase = (name: unknown): string => {
  const what = "a database's name";
  const text = withoutControls(checkText(name, what), what);
  if (text === '' || text === '.' || text === '..' || /[/\\]/.test(text)) {
    throw new PumiceError('invalid-argument', `${what} must not be empty, '.' or '..', and must not have separators`);
  }
  if (text.length > NAME_CHARACTERS && [...text].length > NAME_CHARACTERS) {
    throw new PumiceError('too-large', `${what} must have at most ${NAME_CHARACTERS} characters`);
  }
  return text;
};

const withoutControls = (text: string, what: string): string => {
  if (CONTROL.test(text)) throw new PumiceError('invalid-argument', `${what} must not have control characters`);
  return text;
};

const bounded = (text: string, what: string, limit: number): string => {
  if (text === '') throw new PumiceError('invalid-argument', `${what} must not be empty`);
  if (isLonger(text, limit)) throw new PumiceError('too-large', `${what} must have at most ${limit} bytes of UTF-8`);
  return text;
};

/** A document's JSON text as it is now. Throws `invalid-argument` or `too-large`; the engine counts the depth. */
export const documentText = (document: unknown): string => {
  let text: string | undefined;
  try {
    text = JSON.stringify(document);
  } catch (cause) {
    // Out of stack, or longer than a string may be.
    if (cause instanceof RangeError) throw wrapped('too-large', 'the document is too large or too deep', cause);
    throw wrapped('invalid-argument', 'the document is not JSON', cause);
  }
  if (text === undefined) {
    throw new PumiceError('invalid-argument', `a document must be JSON, not ${typeof document}`);
  }
  if (isLonger(text, DOCUMENT_BYTES)) {
    throw new PumiceError('too-large', `a document must have at most ${DOCUMENT_BYTES} bytes of JSON`);
  }
  return text;
};

/** Whether `text` has more than `limit` bytes of UTF-8. Each UTF-16 unit gives one to three. */
const isLonger = (text: string, limit: number): boolean =>
  text.length * 3 > limit && (text.length > limit || utf8Length(text) > limit);

export const utf8Length = (text: string): number => {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // A pair of surrogates has four bytes, two for each half.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
};
