/** The change feeds of a tab: streams of durable changes from the leader, each resumed behind what was received
 *  whenever the leader changes. */

import type { Calls } from './calls.js';
import { type PumiceError, told } from './errors.js';
import { type Body, parse } from './pack.js';
import type { News } from './protocol.js';
import type { Change } from './types.js';

export interface FeedSink {
  /** The number behind which the feed begins; once, before any change. */
  began?: (after: number) => void;
  /** In order, each once; `through` is to be handed to `seen` when they are dealt with. */
  changes: (changes: Change[], through: number) => void;
  /** The feed has ended. */
  failed: (error: PumiceError) => void;
}

export class Feeds {
  private readonly open = new Map<number, Feed>();
  private nextId = 1;

  constructor(private readonly calls: Calls) {}

  /** Begins behind the sequence number `after`, or with null from now on: in effect when this returns. */
  add(after: number | null, collection: string | undefined, sink: FeedSink): Feed {
    const id = this.nextId++;
    const feed = new Feed(this.calls, id, collection, after, sink, () => this.open.delete(id));
    this.open.set(id, feed);
    feed.begin();
    return feed;
  }

  /** A leader was reached that knows nothing of the feeds. */
  resume(): void {
    for (const feed of this.open.values()) feed.begin();
  }

  receive(news: News[]): void {
    for (const item of news) this.open.get(item.feed)?.receive(item);
  }

  end(error: PumiceError): void {
    for (const feed of [...this.open.values()]) feed.fail(error);
  }
}

export class Feed {
  /** Everything up to here was received; null until it is known where the feed begins. */
  private through: number | null;
  /** Where it begins, should the leader be lost before it says. Rather too early than with a gap. */
  private readonly earliest: number;
  private wasAsked = false;

  constructor(
    private readonly calls: Calls, private readonly id: number, private readonly collection: string | undefined,
    after: number | null, private readonly sink: FeedSink, private readonly forget: () => void,
  ) {
    this.through = after;
    this.earliest = calls.sequence;
  }

  begin(): void {
    const isFirst = !this.wasAsked;
    this.wasAsked = true;
    if (this.calls.term === undefined) return;
    const body: Body = { op: 'feed', feed: this.id, after: this.through ?? (isFirst ? null : this.earliest) };
    if (this.collection !== undefined) body.collection = this.collection;
    this.calls.request(body, ({ value }) => this.began(value as number), error => this.fail(error), () => {});
    // Not at the end of the microtask: another tab may write at the word of this one.
    this.calls.flush();
  }

  private began(start: number): void {
    if (this.through !== null) return;
    this.through = start;
    this.sink.began?.(start);
  }

  receive(news: News): void {
    if ('error' in news) return this.fail(told(news.error));
    const { text, through } = news;
    // A former leader's last news may come after the next one has told the same.
    const seen = this.through;
    if (seen === null || through <= seen) return;
    this.through = through;
    this.sink.changes((parse(text) as Change[]).filter(({ sequence }) => sequence > seen), through);
  }

  /** More may be sent, and the log up to `through` is no longer needed. */
  seen(through: number): void {
    this.calls.tell({ op: 'seen', feed: this.id, through });
  }

  stop(): void {
    this.forget();
    this.calls.tell({ op: 'unfeed', feed: this.id });
  }

  fail(error: PumiceError): void {
    this.forget();
    this.sink.failed(error);
  }
}
