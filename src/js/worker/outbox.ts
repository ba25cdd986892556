/** What goes to one tab: everything that became ready in one turn, in one message. */

import type { Errands, FromWorker, News, Replies, Result } from '../protocol.js';

/** To the worker's own page. */
export const post = (message: FromWorker | Errands, transfer: Transferable[] = []): void => {
  postMessage(message, { transfer });
};

export class Outbox {
  private results: Result[] = [];
  private news: News[] = [];

  /** Without a `channel`, the tab is the worker's own page. */
  constructor(private readonly term: string, private readonly channel: BroadcastChannel | undefined) {}

  answer(result: Result): void {
    this.results.push(result);
    this.schedule();
  }

  tell(news: News): void {
    this.news.push(news);
    this.schedule();
  }

  /** Sends what there is. */
  flush(): void {
    const { results, news } = this;
    if (results.length + news.length === 0) return;
    this.results = [];
    this.news = [];
    const replies: Replies = { type: 'replies', term: this.term, results, news };
    if (this.channel) this.channel.postMessage(replies);
    else post(replies, buffers(results, news));
  }

  private schedule(): void {
    // Behind the microtasks of everything else that is ready now.
    if (this.results.length + this.news.length === 1) queueMicrotask(() => { this.flush(); });
  }
}

/** Up to so many bytes a copy costs less than to move the buffer to another thread. */
const COPIED = 32 << 10;

/** The buffers of long texts move instead of being copied. */
const buffers = (results: Result[], news: News[]): Transferable[] => {
  const found: Transferable[] = [];
  const add = (value: unknown) => {
    if (typeof value === 'object' && value !== null && 'text' in value && value.text instanceof Uint8Array
      && value.text.length > COPIED) {
      found.push(value.text.buffer);
    }
  };
  for (const result of results) if (result.ok) add(result.value);
  news.forEach(add);
  return found;
};
