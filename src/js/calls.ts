/** The calls of a tab that have no answer yet.
 *
 *  Calls made in one microtask leave in one message. When the leader changes, everything without an answer is asked
 *  again of the next one, in the same order; writes bear numbers, so that none is done twice. Every call settles:
 *  with its answer, or with `timeout` when none came in time. */

import type { Link, Waiting, WhenLost } from './call.js';
import { PumiceError, told } from './errors.js';
import { Gets } from './gets.js';
import { type Body, isWrite, pack } from './pack.js';
import { Patience } from './patience.js';
import type { Result, Value } from './protocol.js';
import { Unsynced } from './unsynced.js';

/** A call that so many leaders did not survive is likely the cause. */
export const LOSSES = 5;
/** For how long a leader surely knows which writes of a silent client it has done, in ms. */
const REMEMBERED = 240_000;

export class Calls {
  /** The last durable sequence number that a leader told. */
  sequence = 0;
  /** Why the last attempt to lead failed: what calls that find no leader reject with. */
  failure: PumiceError | undefined;
  private link: Link | undefined;
  private ended: PumiceError | undefined;
  private nextId = 1;
  private nextN = 1;
  private readonly waiting = new Map<number, Waiting>();
  /** Numbers of writes that may have to be asked again, in order. */
  private readonly numbers = new Set<number>();
  private readonly unsynced: Unsynced;
  private outbox: Waiting[] = [];
  private isScheduled = false;
  /** Gets of this microtask, by collection, that further ones may join. */
  private readonly gets = new Map<string, Gets>();
  private readonly patience: Patience;
  private whenSettled: (() => void)[] = [];

  /** `mute` is told when the leader has not said anything for about ten seconds while calls wait, `buffered` when a
   *  write was acknowledged that is not durable. */
  constructor(private readonly client: string, mute: () => void, buffered: () => void) {
    this.unsynced = new Unsynced(call => this.numbers.delete(call.n!), buffered);
    this.patience = new Patience({
      waiting: () => this.waiting.values(),
      isLinked: () => this.link !== undefined,
      idle: () => this.syncUnsynced(),
      overdue: call => this.reject(call, this.overdue(call)),
      ping: () => this.tell({ op: 'ping' }),
      mute,
    });
  }

  /** The present leader's. */
  get term(): string | undefined {
    return this.link?.term;
  }

  get hasUnsynced(): boolean {
    return this.unsynced.size > 0;
  }

  get isWaiting(): boolean {
    return this.waiting.size > 0;
  }

  ask<V extends Value>(body: Body, whenLost: WhenLost = 'again'): Promise<V> {
    return new Promise((resolve, reject) => this.request(body, ({ value }) => resolve(value as V), reject, whenLost));
  }

  /** Resolves to the documents in the order of `keys`. */
  get(collection: string, keys: string[]): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) return reject(this.ended);
      let gets = this.gets.get(collection);
      if (gets === undefined) {
        const fresh = gets = new Gets(collection);
        this.request(fresh.body, ({ value }) => fresh.done(value), error => fresh.fail(error));
        this.gets.set(collection, fresh);
      }
      gets.add(keys, resolve, reject);
    });
  }

  /** The callbacks are called in the very turn in which the answer arrives. */
  request(body: Body, done: Waiting['done'], fail: Waiting['fail'], whenLost: WhenLost = 'again'): void {
    // What is asked later must not overtake this.
    this.gets.clear();
    const call = this.call(body, done, fail, whenLost);
    if (this.ended !== undefined) return fail(this.ended);
    this.waiting.set(call.id, call);
    if (call.n !== undefined) this.numbers.add(call.n);
    this.patience.start();
    this.post(call);
  }

  /** For what needs no answer, and means nothing without this leader. */
  tell(body: Body): void {
    if (this.link !== undefined) this.post(this.call(body, () => {}, () => {}, 'once'));
  }

  private call(body: Body, done: Waiting['done'], fail: Waiting['fail'], whenLost: WhenLost): Waiting {
    return {
      id: this.nextId++, n: isWrite(body) ? this.nextN++ : undefined, body, done, fail, whenLost,
      deadline: this.patience.deadline(), sentAt: undefined, isOrphan: false, losses: 0,
    };
  }

  private post(call: Waiting): void {
    this.outbox.push(call);
    if (this.isScheduled) return;
    this.isScheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Sends what was asked so far, without waiting for the end of the microtask. */
  flush(): void {
    this.isScheduled = false;
    this.gets.clear();
    const calls = this.outbox;
    // What finds no leader is among the waiting, and is sent when there is one.
    this.outbox = [];
    if (this.link !== undefined && calls.length > 0) this.send(this.link, calls);
  }

  private send(link: Link, calls: Waiting[]): void {
    const now = performance.now();
    for (const call of calls) call.sentAt = now;
    const [undone = this.nextN] = this.numbers;
    try {
      const packed = pack(calls, undone);
      link.send({ type: 'requests', term: link.term, client: this.client, calls: packed.calls }, packed.transfer);
    } catch (cause) {
      // More than a message, a buffer or a string can hold.
      const error = new PumiceError('too-large', `the call could not be sent: ${String(cause)}`, { cause });
      for (const call of calls) this.reject(call, error);
    }
  }

  /** A leader is reached, and asked everything that has no answer. */
  attach(link: Link): void {
    this.link = link;
    this.failure = undefined;
    this.outbox = [];
    this.gets.clear();
    this.patience.heard();
    const calls = [...this.unsynced.calls(), ...this.waiting.values()].filter(call => !call.isOrphan);
    calls.sort((a, b) => a.id - b.id);
    if (calls.length > 0) this.send(link, calls);
  }

  /** The leader is gone; `quietly` when it took its leave. */
  detach(quietly: boolean, cause?: PumiceError): void {
    if (this.link === undefined) return;
    this.link = undefined;
    for (const call of [...this.waiting.values()]) {
      if (typeof call.whenLost === 'function') {
        this.remove(call);
        call.whenLost();
      } else if (call.sentAt !== undefined && !call.isOrphan) {
        this.lose(call, quietly, cause);
      }
    }
  }

  private lose(call: Waiting, quietly: boolean, cause?: PumiceError): void {
    call.sentAt = undefined;
    if (call.whenLost === 'once') {
      call.isOrphan = true;
      call.deadline = this.patience.lateDeadline();
    } else if (!quietly && ++call.losses >= LOSSES) {
      const last = cause ? `: ${cause.message}` : '';
      this.reject(call, new PumiceError('io', `the worker was lost ${LOSSES} times while this call was under way${last}`));
    }
  }

  receive(results: Result[]): void {
    this.patience.heard();
    for (const result of results) this.settle(result);
    if (this.unsynced.size > 0) this.unsynced.release(this.sequence);
  }

  private settle(result: Result): void {
    if (result.ok && result.sequence > this.sequence) this.sequence = result.sequence;
    const call = this.waiting.get(result.id);
    if (call === undefined) return this.settleAgain(result);
    if (!result.ok) return this.reject(call, told(result.error));
    if (this.unsynced.keep(call, result)) this.drop(call);
    else this.remove(call);
    call.done(result);
  }

  /** A buffered write that was asked again after it had been acknowledged, or nothing of interest. */
  private settleAgain(result: Result): void {
    const call = this.unsynced.get(result.id);
    if (call === undefined || (result.ok && this.unsynced.keep(call, result))) return;
    this.unsynced.delete(call.id);
    this.numbers.delete(call.n!);
  }

  private reject(call: Waiting, error: PumiceError): void {
    this.remove(call);
    call.fail(error);
  }

  private remove(call: Waiting): void {
    if (call.n !== undefined) this.numbers.delete(call.n);
    this.drop(call);
  }

  private drop(call: Waiting): void {
    this.waiting.delete(call.id);
    if (this.waiting.size === 0) for (const resolve of this.whenSettled.splice(0)) resolve();
  }

  private overdue(call: Waiting): PumiceError {
    if (call.isOrphan) {
      return new PumiceError('io', 'the leader was lost during the call; look whether it was done before trying again');
    }
    return this.failure
      ?? new PumiceError('timeout', 'no leader answered in time; a write may or may not have been done');
  }

  /** A tab that asks nothing more hears of no sequence numbers: so it asks. */
  private syncUnsynced(): boolean {
    if (this.unsynced.size === 0) return false;
    const upTo = this.unsynced.last;
    if (this.link !== undefined) this.request({ op: 'sync' }, () => this.unsynced.releaseCalls(upTo), () => {});
    return true;
  }

  /** Rejects everything that waits. */
  failAll(error: PumiceError): void {
    for (const call of [...this.waiting.values()]) this.reject(call, error);
  }

  /** Rejects everything that waits, and everything from now on. */
  end(error: PumiceError): void {
    this.ended = error;
    this.failAll(error);
    this.unsynced.clear();
    this.link = undefined;
    this.patience.stop();
  }

  /** Resolves when nothing waits, or after `limit` ms. */
  settled(limit: number): Promise<void> {
    if (this.waiting.size === 0) return Promise.resolve();
    return new Promise(resolve => {
      const timer = setTimeout(resolve, limit);
      this.whenSettled.push(() => { clearTimeout(timer); resolve(); });
    });
  }

  /** After a sleep of so many ms. A leader forgets a client in time: so no old write is asked again. */
  awake(slept: number): void {
    const now = performance.now();
    for (const call of [...this.waiting.values()]) {
      if (call.n !== undefined && call.deadline <= now) this.reject(call, this.overdue(call));
    }
    if (slept > REMEMBERED) this.unsynced.releaseCalls(Infinity);
    this.patience.awake();
  }
}
