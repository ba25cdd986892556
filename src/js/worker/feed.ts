/** A feed on its way to a tab: sends on while the tab keeps up, and lets the log go as the tab says what it has. */

import type { Changes } from '../../../pkg/pumice.js';
import type { News } from '../protocol.js';

/** Bytes of text at a time, and how many the tab may not have confirmed. */
const CHUNK = 128 << 10;
const WINDOW = 1 << 20;

export class Feed {
  /** What the tab has not confirmed, oldest first. */
  private unseen: { through: number; bytes: number }[] = [];
  private goOn: (() => void) | undefined;
  private ended = false;

  constructor(
    private readonly id: number,
    private readonly changes: Changes,
    private readonly tell: (news: News) => void,
  ) {}

  /** Runs until the feed is ended or the database closed. Rejects when the feed cannot go on. */
  async run(): Promise<void> {
    while (!this.ended) {
      const chunk = await this.changes.next(CHUNK);
      if (this.ended || !chunk) return;
      const [text, through] = chunk;
      this.unseen.push({ through, bytes: text.length });
      this.tell({ feed: this.id, text, through });
      while (!this.ended && this.behind() > WINDOW) await new Promise<void>(resolve => { this.goOn = resolve; });
    }
  }

  seen(through: number): void {
    this.changes.confirm(through);
    this.unseen = this.unseen.filter(chunk => chunk.through > through);
    this.goOn?.();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.changes.free();
    this.goOn?.();
  }

  private behind(): number {
    return this.unseen.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
