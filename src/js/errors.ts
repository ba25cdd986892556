/** The one error that this package throws and rejects with. */

import type { ErrorMessage } from './protocol.js';

/** What sort of failure it was; stable, to branch on.
 *
 *  | code | meaning | what to do |
 *  |---|---|---|
 *  | `busy` | another tab has the files open, or has not let them go | close it, try again |
 *  | `closed` | `close()` was called on this handle | open the database again |
 *  | `corrupt` | stored bytes are not what was written | nothing was changed; restore a snapshot |
 *  | `quota` | the browser gives no more room; writes are refused until the database is reopened | make room |
 *  | `invalid-argument` | a value of the wrong type or shape; nothing was sent | mend the call |
 *  | `too-large` | a name, key, document or nesting over its limit | store less in one place |
 *  | `io` | the browser failed an operation, or the worker could not be started or kept crashing | see the message |
 *  | `poisoned` | an earlier failure stopped all writing | reopen |
 *  | `timeout` | no leader answered in time; a write may or may not have been done | try again |
 *  | `unsupported` | this browser, or this place outside of one, lacks what is needed | see the message |
 *  | `version` | another tab or a file is of a newer version | reload the other tabs, or update |
 *  | `not-found` | what was asked for is no longer there | begin anew |
 */
export type ErrorCode = 'busy' | 'closed' | 'corrupt' | 'quota' | 'invalid-argument' | 'too-large' | 'io' | 'poisoned'
  | 'timeout' | 'unsupported' | 'version' | 'not-found';

const CODES = new Set<string>(['busy', 'closed', 'corrupt', 'quota', 'invalid-argument', 'too-large', 'io', 'poisoned',
  'timeout', 'unsupported', 'version', 'not-found']);

/** Why an operation failed: a stable `code`, and a `message` that says what happened and what to do. */
export class PumiceError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'PumiceError';
    this.code = code;
  }
}

/** Refuses a key that is not the one that `somebody` has opened the database with. */
export const otherKey = (somebody: string): PumiceError =>
  new PumiceError('invalid-argument', `${somebody} has this database open with another key, or with none`);

/** An error that the worker told. */
export const told = ({ code, message }: ErrorMessage): PumiceError =>
  new PumiceError(CODES.has(code) ? code as ErrorCode : 'io', message);

/** Anything thrown, as a PumiceError of `code` unless it is one. */
export const wrapped = (code: ErrorCode, message: string, cause: unknown): PumiceError =>
  cause instanceof PumiceError ? cause : new PumiceError(code, `${message}: ${said(cause)}`, { cause });

const said = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause);
