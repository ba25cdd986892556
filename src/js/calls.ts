/** The calls of a tab that have no answer yet.
 *
 *  Calls made in one microtask leave in one message. When the leader changes, everything without an answer is asked again of
 *  the next one, in the same order; writes bear numbers, so that none is done twice. Every call settles: with its
 *  answer, or with `timeout` when none came in time.
 *
 *  Buffered writes that were acknowledged and are not known to be durable are kept and asked again, too: so `sync` tells the truth
 *  after a leader has crashed. */

import { PumiceError, told } from './errors.js';
import { Gets } from './gets.js';
import { type Body, isWrite, pack } from './pack.js';
import type { Replies, Requests, Result, Value } from './protocol.js';

/** The way to the leader's worker, for one term. */
export interface Link {
  readonly term: string;
  send(message: Requests, transfer: ArrayBuffer[]): void;
}

/** What becomes of a call that was sent to a leader which is gone. `again`: it is asked again. `once`: it must not be, and fails unless a late
 *  answer comes. A function: it makes no sense without that leader, whether sent or not; the function is told. */
export type WhenLost = 'again' | 'once' | (() => void);

export interface Answer { value: Value; sequence: number }

export interface Waiting {
  readonly id: number;
  readonly body: Body;
  /** The number of a write. */
  readonly n: number | undefined;
  readonly whenLost: WhenLost;
  readonly done: (answer: Answer) => void;
  readonly fail: (error: PumiceError) => void;
  deadline: number;
  /** Sent to the present leader, at this time. */
  sentAt: number | undefined;
  /** Leaders that ended without a word while they had it. */
  losses: number;
  /** Of a buffered write that was acknowledged: its sequence number, or 0 where the answer does not tell. */
  written?: number;
}

/** Every call settles within a minute; the watch is coarse. */
const PATIENCE = 55_000;
const WATCH_EVERY = 1_000;
/** A leader silent for so long while calls wait is asked for a sign of life, and after as long again is mute. */
const SILENCE = 5_000;
/** A call that so many leaders did not survive is likely the cause. */
const LOSSES = 5;
/** How long the answer of a leader that is gone may still be under way. */
const LATE = 2_000;

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
  private readonly open = new Set<number>();
  private readonly unsynced = new Map<number, Waiting>();
  private outbox: Waiting[] = [];
  private scheduled = false;
  /** Gets of this microtask, by collection, that further ones may join. */
  private readonly gets = new Map<string, Gets>();
  private watch: ReturnType<typeof setInterval> | undefined;
  private watchedAt = 0;
  private heardAt = 0;
  private pingedAt = 0;
  private drained: (() => void)[] = [];

  /** `mute` is called when the leader has not said anything for about ten seconds while calls wait. */
  constructor(private readonly client: string, private readonly mute: () => void) {}

  get term(): string | undefined {
    return this.link?.term;
  }

  get busy(): boolean {
    return this.waiting.size > 0;
  }

  ask<V extends Value>(body: Body, whenLost: WhenLost = 'again'): Promise<V> {
    return new Promise((resolve, reject) => this.request(body, ({ value }) => resolve(value as V), reject, whenLost));
  }

  /** As `ask`, with the sequence number that was the last durable one when the answer was given. */
  askAt(body: Body, whenLost: WhenLost = 'again'): Promise<Answer> {
    return new Promise((resolve, reject) => this.request(body, resolve, reject, whenLost));
  }

  /** Gets of one microtask and collection share one call. Resolves to the documents in the order of `keys`. */
  get(collection: string, keys: string[]): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      let gets = this.gets.get(collection);
      if (gets === undefined) {
        const fresh = new Gets(collection);
        this.request(fresh.body, answer => fresh.done(answer), error => fresh.fail(error), 'again');
        if (this.ended === undefined) this.gets.set(collection, fresh);
        gets = fresh;
      }
      gets.add(keys, resolve, reject);
    });
  }

  /** For what needs no answer, and nothing without this leader. */
  tell(body: Body): void {
    if (this.link === undefined || this.ended !== undefined) return;
    this.post({
      id: this.nextId++, body, n: undefined, whenLost: 'once', done: () => {}, fail: () => {}, deadline: 0, sentAt: undefined, losses: 0,
    });
  }

  request(body: Body, done: Waiting['done'], fail: Waiting['fail'], whenLost: WhenLost): void {
    if (this.ended !== undefined) return fail(this.ended);
    this.gets.clear();
    const n = isWrite(body) ? this.nextN++ : undefined;
    if (n !== undefined) this.open.add(n);
    const call: Waiting = {
      id: this.nextId++, body, n, whenLost, done, fail, deadline: performance.now() + PATIENCE, sentAt: undefined, losses: 0,
    };
    this.waiting.set(call.id, call);
    this.startWatch();
    this.post(call);
  }

  private post(call: Waiting): void {
    this.outbox.push(call);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => this.flush());
  }

  /** Sends what was asked so far, without waiting for the end of the microtask. */
  flush(): void {
    this.scheduled = false;
    this.gets.clear();
    const calls = this.outbox;
    // What finds no leader is among the waiting, and is sent when there is one.
    this.outbox = [];
    if (this.link !== undefined && calls.length > 0) this.send(this.link, calls);
  }

  private send(link: Link, calls: Waiting[]): void {
    const now = performance.now();
    const [first = this.nextN] = this.open;
    try {
      const packed: Packed = pack(calls, first);
      for (const call of calls) call.sentAt = now;
      link.send({ type: 'requests', term: link.term, client: this.client, calls: packed.calls }, packed.transfer);
    } catch (cause) {
      // More than a message, a buffer or a string can hold.
      const error = new PumiceError('too-large', `the call could not be sent: ${String(cause)}`, { cause });
      for (const call of calls) this.reject(call, error);
    }
  }

  /** A leader is reached: it is asked everything that has no answer. */
  attach(link: Link): void {
    this.link = link;
    this.failure = undefined;
    this.outbox = [];
    this.gets.clear();
    this.heardAt = performance.now();
    this.pingedAt = 0;
    const calls = [...this.unsynced.values(), ...this.waiting.values()].filter(call => call.whenLost !== 'once' || call.sentAt === undefined);
    // Acknowledged writes have lower identities than what came after them: so everything stays in its order.
    calls.sort((a, b) => a.id - b.id);
    if (calls.length > 0) this.send(link, calls);
  }

  /** The leader is gone; `quietly` when it took its leave. */
  detach(quietly: boolean): void {
    if (this.link === undefined) return;
    this.link = undefined;
    const now = performance.now();
    for (const call of this.waiting.values()) {
      if (typeof call.whenLost === 'function') {
        this.remove(call);
        call.whenLost();
      } else if (call.sentAt === undefined) {
        continue;
      } else if (call.whenLost === 'once') {
        call.deadline = Math.min(call.deadline, now + LATE);
      } else {
        call.sentAt = undefined;
        if (!quietly && ++call.losses >= LOSSES) {
          this.reject(call, new PumiceError('io', `the worker was lost ${LOSSES} times while this call was under way`));
        }
      }
    }
  }

  receive({ results }: Replies): void {
    this.heardAt = performance.now();
    for (const result of results) this.settle(result);
    if (this.unsynced.size > 0) this.release();
    if (this.waiting.size === 0) this.whenDrained();
  }

  private settle(result: Result): void {
    if (result.ok && result.sequence > this.sequence) this.sequence = result.sequence;
    const call = this.waiting.get(result.id) ?? this.unsynced.get(result.id);
    if (call === undefined) return;
    if (!result.ok) return this.reject(call, told(result.error));
    const acknowledged = this.unsynced.has(call.id);
    const { value, sequence } = result;
    if (call.n !== undefined && bodyText(call.body).durability === 'buffered' && value !== false
      && !(typeof value === 'number' && value <= sequence)) {
      this.waiting.delete(call.id);
      call.written = typeof value === 'number' ? value : 0;
      this.unsynced.set(call.id, call);
    } else {
      this.remove(call);
    }
    if (!acknowledged) call.done(result);
  }

  /** Lets go of the buffered writes that are durable: writes become durable in their order. */
  private release(upTo = 0): void {
    for (const call of this.unsynced.values()) {
      if (call.written !== 0 && call.written! <= this.sequence && call.id > upTo) upTo = call.id;
    }
    for (const call of this.unsynced.values()) if (call.id <= upTo) this.remove(call);
  }

  private remove(call: Waiting): void {
    this.waiting.delete(call.id);
    this.unsynced.delete(call.id);
    if (call.n !== undefined) this.open.delete(call.n);
  }

  private reject(call: Waiting, error: PumiceError): void {
    this.remove(call);
    call.fail(error);
    if (this.waiting.size === 0) this.whenDrained();
  }

  /** Rejects everything that waits. */
  failAll(error: PumiceError): void {
    for (const call of [...this.waiting.values()]) this.reject(call, error);
  }

  /** Rejects everything from now on, and what still waits. */
  end(error: PumiceError): void {
    this.ended = error;
    this.failAll(error);
    this.unsynced.clear();
    this.link = undefined;
    this.stopWatch();
  }

  /** Resolves when nothing waits, or after `limit` ms. */
  settled(limit: number): Promise<void> {
    if (this.waiting.size === 0) return Promise.resolve();
    return new Promise(resolve => {
      const timer = setTimeout(resolve, limit);
      this.drained.push(() => { clearTimeout(timer); resolve(); });
    });
  }

  private whenDrained(): void {
    for (const resolve of this.drained.splice(0)) resolve();
  }

  /** After a time in which the page stood still: that was nobody's silence. */
  awake(): void {
    const now = performance.now();
    this.heardAt = now;
    this.pingedAt = 0;
    for (const call of this.waiting.values()) call.deadline = Math.max(call.deadline, now + SILENCE);
  }

  private startWatch(): void {
    if (this.watch !== undefined) return;
    this.watchedAt = performance.now();
    this.watch = setInterval(() => this.look(), WATCH_EVERY);
  }

  private stopWatch(): void {
    clearInterval(this.watch);
    this.watch = undefined;
  }

  private look(): void {
    const now = performance.now();
    // A timer this late says that the page was throttled or stood still; what has come meanwhile is still to be handled.
    if (now - this.watchedAt > 3 * WATCH_EVERY) this.awake();
    this.watchedAt = now;
    if (this.waiting.size === 0 && this.unsynced.size === 0) return this.stopWatch();
    if (this.unsynced.size > 0) this.settleUnsynced();

    const silent = this.link !== undefined && this.isSilent(now);
    for (const call of [...this.waiting.values()]) {
      if (call.whenLost !== 'once' && this.link !== undefined && !silent && isLong(call.body)) {
        call.deadline = Math.max(call.deadline, now + SILENCE);
      } else if (call.deadline <= now) {
        this.reject(call, this.late(call));
      }
    }
    if (silent && this.pingedAt === 0) {
      this.pingedAt = now;
      this.tell({ op: 'ping' });
    } else if (silent && now - this.pingedAt > SILENCE) {
      this.awake();
      this.mute();
    }
  }

  /** Whether the leader has had a call for long and said nothing since. */
  private isSilent(now: number): boolean {
    const [oldest] = this.waiting.values();
    if (this.heardAt >= this.pingedAt) this.pingedAt = 0;
    return oldest?.sentAt !== undefined && now - Math.max(oldest.sentAt, this.heardAt) > SILENCE;
  }

  /** Idle tabs hear of no sequence numbers: so this asks. */
  private settleUnsynced(): void {
    if (this.waiting.size > 0 || this.link === undefined) return;
    const upTo = Math.max(...this.unsynced.keys());
    this.request({ op: 'sync' }, () => this.release(upTo), () => {}, 'again');
  }

  private late(call: Waiting): PumiceError {
    if (call.whenLost === 'once') {
      return new PumiceError('io', 'the leader was lost during the call; look whether it was done before trying again');
    }
    return this.failure ?? new PumiceError('timeout', 'no leader answered in time; a write may or may not have been done');
  }
}

/** What may rightly take minutes, for as long as the leader gives signs of life. */
const isLong = ({ op }: Body): boolean => op === 'compact' || op === 'export' || op === 'import';
