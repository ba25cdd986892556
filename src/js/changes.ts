/** `database.changes()`: a feed as an async iterable. */

import type { Calls } from './calls.js';
import { PumiceError } from './errors.js';
import type { Feed, Feeds } from './feeds.js';
import { attempt, type CheckedChanges, checkChanges } from './options.js';
import type { Change } from './types.js';

export interface ChangeSource {
  readonly feeds: Feeds;
  /** Throws `closed` when the handle was closed. */
  calls(): Calls;
  /** Calls `end` when the handle is closed, unless what it returns was called before. */
  whenClosed(end: () => void): () => void;
}

/** Where "from now on" is, is settled by this call; the feed itself begins with the iteration. */
export const changeStream = (source: ChangeSource, options: unknown): AsyncIterable<Change> => {
  const checked = attempt(() => checkChanges(options));
  const start = startOf(source, checked);
  // Whoever never iterates shall not hear of it.
  start.catch(() => {});
  return { [Symbol.asyncIterator]: () => new ChangeIterator(source, start, checked) };
};

const startOf = async (source: ChangeSource, checked: () => CheckedChanges): Promise<number> => {
  const calls = source.calls();
  const { after } = checked();
  if (after !== undefined) return after;
  const earliest = calls.sequence;
  return new Promise((resolve, reject) => {
    if (calls.term === undefined) return resolve(earliest);
    calls.request({ op: 'ping' }, ({ sequence }) => resolve(sequence), reject, () => resolve(earliest));
    calls.flush();
  });
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
  private readonly signal: AbortSignal | undefined;

  constructor(source: ChangeSource, start: Promise<number>, checked: () => CheckedChanges) {
    this.keep = source.whenClosed(() => this.end({ error: new PumiceError('closed', 'the database was closed') }));
    try {
      this.signal = checked().signal;
    } catch {
      // `start` rejects with it.
    }
    this.signal?.addEventListener('abort', this.onAbort, { once: true });
    if (this.signal?.aborted === true) this.end({});
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
    return Promise.resolve({ value: undefined, done: true });
  }

  private async take(): Promise<IteratorResult<Change>> {
    for (;;) {
      const chunk = this.chunks[0];
      // An abort ends it at once, an error only behind what came before.
      if (this.ending !== undefined && (this.ending.error === undefined || chunk === undefined)) {
        return this.finish(this.ending);
      }
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
    return { value: undefined, done: true };
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
