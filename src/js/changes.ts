/** `database.changes()`: a feed as an async iterable. */

import type { Calls } from './calls.js';
import { PumiceError } from './errors.js';
import type { Feed, Feeds } from './feeds.js';
import type { Change } from './types.js';

export interface ChangeSource {
  calls: Calls;
  feeds: Feeds;
  /** Is told what ends the iteration when the handle is closed; returns what takes that back. */
  whenClosed: (end: () => void) => () => void;
}

/** Where "from now on" is, is settled by the call; the feed itself begins with the iteration. */
export const changeStream = (
  source: ChangeSource, after: number | undefined, signal: AbortSignal | undefined,
): AsyncIterable<Change> => {
  const start = after === undefined ? present(source.calls) : Promise.resolve(after);
  // Whoever never iterates shall not hear of it.
  start.catch(() => {});
  return { [Symbol.asyncIterator]: () => new ChangeIterator(source, start, signal) };
};

const present = async (calls: Calls): Promise<number> => {
  const earliest = calls.sequence;
  const { sequence } = await new Promise<{ sequence: number }>((resolve, reject) => {
    calls.request({ op: 'ping' }, resolve, reject, () => resolve({ sequence: earliest }));
    calls.flush();
  });
  return sequence;
};

class ChangeIterator implements AsyncIterator<Change> {
  private feed: Feed | undefined;
  private readonly chunks: { changes: Change[]; through: number }[] = [];
  private at = 0;
  private ending: { error?: PumiceError } | undefined;
  private wake: (() => void) | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private readonly onAbort = (): void => this.end({});
  private readonly keep: () => void;

  constructor(source: ChangeSource, start: Promise<number>, private readonly signal: AbortSignal | undefined) {
    this.keep = source.whenClosed(() => this.end({ error: new PumiceError('closed', 'the database was closed') }));
    signal?.addEventListener('abort', this.onAbort, { once: true });
    if (signal?.aborted === true) this.end({});
    start.then(after => this.open(source.feeds, after), (error: PumiceError) => this.end({ error }));
  }

  private open(feeds: Feeds, after: number): void {
    if (this.ending !== undefined) return;
    this.feed = feeds.add(after, undefined, {
      changes: (changes, through) => {
        this.chunks.push({ changes, through });
        this.wake?.();
      },
      failed: error => {
        this.feed = undefined;
        this.end({ error });
      },
    });
  }

  next(): Promise<IteratorResult<Change>> {
    const result = this.turn.then(() => this.take());
    this.turn = result.catch(() => {});
    return result;
  }

  return(): Promise<IteratorResult<Change>> {
    this.end({});
    return Promise.resolve({ done: true, value: undefined });
  }

  private async take(): Promise<IteratorResult<Change>> {
    for (;;) {
      // An abort or a close ends it at once, an error only behind what came before.
      if (this.ending !== undefined && (this.ending.error === undefined || this.chunks.length === 0)) return this.finish(this.ending);
      const chunk = this.chunks[0];
      if (chunk === undefined) {
        await new Promise<void>(resolve => { this.wake = resolve; });
        this.wake = undefined;
      } else if (this.at < chunk.changes.length) {
        return { done: false, value: chunk.changes[this.at++]! };
      } else {
        this.chunks.shift();
        this.at = 0;
        this.feed?.seen(chunk.through);
      }
    }
  }

  /** An error is told once; then the iteration is over. */
  private finish(ending: { error?: PumiceError }): IteratorResult<Change> {
    this.ending = {};
    if (ending.error !== undefined) throw ending.error;
    return { done: true, value: undefined };
  }

  private end(ending: { error?: PumiceError }): void {
    if (this.ending !== undefined) return;
    this.ending = ending;
    this.feed?.stop();
    this.feed = undefined;
    this.keep();
    this.signal?.removeEventListener('abort', this.onAbort);
    this.wake?.();
  }
}
