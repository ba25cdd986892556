/** The listeners of a tab: one feed for all of a collection. */

import type { Calls } from './calls.js';
import type { PumiceError } from './errors.js';
import type { Feed, Feeds } from './feeds.js';
import type { RangeMessage } from './protocol.js';
import { contains, isWhole } from './range.js';
import type { Change } from './types.js';

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
    this.open(null);
  }

  private open(after: number | null): void {
    this.hasBegun = false;
    this.feed = this.feeds.add(after, this.collection, {
      began: start => this.began(start),
      changes: (changes, through) => this.tell(changes, through),
      failed: error => this.failed(error),
    });
  }

  add(range: RangeMessage, listen: Listen): () => void {
    const listener: Listener = { listen, range, after: undefined, held: [], isActive: true };
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
    if (error.code === 'closed') return this.forget();
    // The listeners cannot be told, so the page is; what comes from now on is told again.
    report(error);
    if (error.code === 'not-found') this.open(null);
    else this.forget();
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
