/** What calls of the engine throw: failures, which are answered, and crashes, after which the instance is of no use. */

import type { ErrorMessage } from '../protocol.js';

/** Says what is wrong in the worker itself. */
export class Failure extends Error {
  constructor(readonly code: string, message: string) {
    super(message);
  }
}

/** The engine throws its failures as strings, `code: message`. A trap, a panic or a bug of this code is none. */
export const failureOf = (thrown: unknown): ErrorMessage | undefined => {
  if (thrown instanceof Failure) return { code: thrown.code, message: thrown.message };
  if (typeof thrown !== 'string') return undefined;
  const colon = thrown.indexOf(': ');
  return { code: thrown.slice(0, colon), message: thrown.slice(colon + 2) };
};

export const messageOf = (thrown: unknown): ErrorMessage =>
  failureOf(thrown) ?? { code: 'io', message: `the database's worker crashed: ${said(thrown)}` };

/** A panic is a trap without a message of its own: only where it happened tells one from another. */
const said = (thrown: unknown): string => {
  if (!(thrown instanceof Error)) return String(thrown);
  const place = /wasm-function\[\d+\]:0x[\da-f]+/.exec(thrown.stack ?? '');
  return `${thrown.name}: ${thrown.message}${place ? ` at ${place[0]}, a bug of the engine; please report it` : ''}`;
};
