/** One call of a tab, from when it was asked until it has an answer. */

import type { PumiceError } from './errors.js';
import type { Body } from './pack.js';
import type { Requests, Value } from './protocol.js';

/** The way to the leader's worker, for one term. */
export interface Link {
  readonly term: string;
  /** `transfer` may be given away. */
  send(message: Requests, transfer: ArrayBuffer[]): void;
}

/** What becomes of a call whose leader is gone. `again`: the next one is asked. `once`: it is not, for it might be
 *  done twice; it fails unless a late answer comes. A function: it makes no sense with another leader, whether sent
 *  or not; the function is told. */
export type WhenLost = 'again' | 'once' | (() => void);

/** `sequence` was the last durable number when the answer was given. */
export interface Answer { value: Value; sequence: number }

export interface Waiting {
  readonly id: number;
  readonly body: Body;
  /** The number of a write. */
  readonly n: number | undefined;
  readonly whenLost: WhenLost;
  readonly done: (answer: Answer) => void;
  readonly fail: (error: PumiceError) => void;
  /** When it fails, in the time of `performance.now()`. */
  deadline: number;
  /** When it was sent to the present leader. */
  sentAt: number | undefined;
  /** It was sent to a leader that is gone, and must not be sent again. */
  isOrphan: boolean;
  /** Leaders that ended without a word while they had it. */
  losses: number;
}
