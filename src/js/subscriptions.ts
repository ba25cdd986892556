/** The listeners of a tab: one feed for all of a collection.
 *
 *  Where the log no longer holds what comes next (after an import, or a long sleep), the listeners are told all that is
 *  there now, so that they are right again. */

import type { Calls } from './calls.js';
import type { PumiceError } from './errors.js';
import type { Feed, Feeds } from './feeds.js';
import { parse } from './pack.js';
import type { RangeMessage } from './protocol.js';
import { contains, isWhole } from './range.js';
import type { Change, Json } from './types.js';

type Listen = (changes: Change[]) => void;

interface Listener {
  readonly listen: Listen;
  readonly range: RangeMessage;
  /** Only what came after this number; undefined until it is known. */
  after: number | undefined;
  /** What came until then. */
  held: Change[];
  isActive: boolean;
}

export class Subscriptions {
  private readonly shared = new Map<string, Shared>();

  constructor(private readonly calls: Calls, private readonly feeds: Feeds) {}

  /** Returns what ends it. */
  add(collection: string, range: RangeMessage, listen: Listen): () => void {
    let shared = this.shared.get(collection);
    if (shared === undefined) {
      const fresh = shared = new Shared(this.calls, this.feeds, collection, () => {
        if (this.shared.get(collection) === fresh) this.shared.delete(collection);
      });
      this.shared.set(collection, fresh);
    }
    return shared.add(range, listen);
  }
}

class Shared {
  private readonly listeners = new Set<Listener>();
  private feed: Feed | undefined;
  private hasBegun = false;

  constructor(
    private readonly calls: Calls, private readonly feeds: Feeds, private readonly collection: string,
    private readonly forget: () => void,
  ) {
    this.open(start => this.began(start));
  }

  private open(began: (start: number) => void): void {
    this.hasBegun = false;
    this.feed = this.feeds.add(null, this.collection, {
      began,
      changes: (changes, through) => this.tell(changes, through),
      failed: error => this.failed(error),
    });
  }

  add(range: RangeMessage, listen: Listen): () => void {
    // The others mean nothing here.
    const { reverse: _, limit: __, ...keys } = range;
    const listener: Listener = { listen, range: keys, after: undefined, held: [], isActive: true };
    this.listeners.add(listener);
    if (this.hasBegun) this.place(listener);
    return () => {
      listener.isActive = false;
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      this.forget();
      this.feed?.stop();
    };
  }

  private began(start: number): void {
    this.hasBegun = true;
    for (const listener of this.listeners) this.start(listener, start);
  }

  /** Finds where a listener begins that joins a feed under way: what is on its way to this tab may be older than the
   *  listener. */
  private place(listener: Listener): void {
    const earliest = this.calls.sequence;
    if (this.calls.term === undefined) return this.start(listener, earliest);
    this.calls.request({ op: 'ping' }, ({ sequence }) => this.start(listener, sequence),
      () => this.start(listener, earliest), () => this.start(listener, earliest));
    this.calls.flush();
  }

  private start(listener: Listener, after: number): void {
    if (listener.after !== undefined) return;
    listener.after = after;
    deliver(listener, listener.held);
    listener.held = [];
  }

  private tell(changes: Change[], through: number): void {
    for (const listener of [...this.listeners]) {
      if (listener.after === undefined) listener.held.push(...changes);
      else deliver(listener, changes);
    }
    this.feed?.seen(through);
  }

  private failed(error: PumiceError): void {
    // The second: the database is another one, and not as far. So it is with `memory` when the leader changes.
    if (error.code === 'not-found' || error.code === 'invalid-argument') return this.beginAnew();
    this.forget();
    // There is no other way to tell.
    if (error.code !== 'closed') report(error);
  }

  private beginAnew(): void {
    const listeners = [...this.listeners];
    for (const listener of listeners) listener.after = undefined;
    this.open(start => {
      this.hasBegun = true;
      for (const listener of this.listeners) {
        if (listeners.includes(listener)) this.tellAll(listener, start);
        else this.start(listener, start);
      }
    });
  }

  /** As if the collection had been dropped and written: what came since `start` may be in it, and is told after it. */
  private tellAll(listener: Listener, start: number): void {
    const { collection } = this;
    this.calls.request({ op: 'getAll', collection, range: listener.range }, ({ value, sequence }) => {
      const entries = parse((value as { text: Uint8Array }).text) as [string, Json][];
      deliver({ ...listener, after: -1 }, [
        { sequence, collection, key: null, type: 'drop' },
        ...entries.map(([key, document]): Change => ({ sequence, collection, key, type: 'put', document })),
      ]);
      this.start(listener, start);
    }, error => {
      report(error);
      this.start(listener, start);
    });
  }
}

const deliver = (listener: Listener, changes: Change[]): void => {
  const { range, after = 0 } = listener;
  const whole = isWhole(range);
  const wanted = changes.filter(({ sequence, key }) => {
    return sequence > after && (whole || key === null || contains(range, key));
  });
  if (wanted.length === 0 || !listener.isActive) return;
  try {
    listener.listen(wanted);
  } catch (error) {
    report(error);
  }
};

/** As an exception that nobody caught. */
const report = (error: unknown): void => {
  if (typeof reportError === 'function') reportError(error);
  else setTimeout(() => { throw error; });
};
