/** How long a tab waits: for the answer to a call, and for a leader that says nothing. Looks once a second while
 *  calls wait. */

import type { Waiting } from './call.js';
import type { Body } from './pack.js';

/** In ms. Every call settles within a minute; the look is coarse. */
const CALL = 55_000;
const LOOK = 1_000;
/** A leader silent for so long while calls wait is asked for a sign of life, and after as long again is mute. */
const SILENCE = 5_000;
/** Allowed to a leader that works: for each call that may take long, in ms, and for the text of a write. */
const LONG = 20_000;
const BYTES_PER_MS = 4_000;
/** How long the answer of a leader that is gone may still be under way. */
const LATE = 2_000;

export interface PatienceEvents {
  /** Calls that wait, the oldest first; and whether there is a leader. */
  waiting: () => Iterable<Waiting>;
  isLinked: () => boolean;
  /** Something is left to do that no call waits for; tells whether there is more of it. */
  idle: () => boolean;
  overdue: (call: Waiting) => void;
  ping: () => void;
  mute: () => void;
}

export class Patience {
  private timer: ReturnType<typeof setInterval> | undefined;
  private lookedAt = 0;
  private heardAt = 0;
  private pingedAt: number | undefined;

  constructor(private readonly events: PatienceEvents) {}

  deadline(): number {
    return performance.now() + CALL;
  }

  lateDeadline(): number {
    return performance.now() + LATE;
  }

  /** There is something to wait for. */
  start(): void {
    if (this.timer !== undefined) return;
    this.lookedAt = performance.now();
    this.timer = setInterval(() => this.look(), LOOK);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** The leader has said something. */
  heard(): void {
    this.heardAt = performance.now();
    this.pingedAt = undefined;
  }

  /** The page stood still: that was nobody's silence. */
  awake(): void {
    this.heard();
    for (const call of this.events.waiting()) call.deadline = Math.max(call.deadline, this.heardAt + SILENCE);
  }

  private look(): void {
    const now = performance.now();
    // A timer this late says that the page was throttled; what has come meanwhile is still to be handled.
    if (now - this.lookedAt > 3 * LOOK) this.awake();
    this.lookedAt = now;
    const waiting = [...this.events.waiting()];
    if (waiting.length === 0 && !this.events.idle()) return this.stop();

    const isSilent = this.isSilent(waiting, now);
    const isServed = this.events.isLinked() && !isSilent;
    for (const call of waiting) {
      const isLong = LONG_CALLS.has(call.body.op) || call.body.op === 'feed';
      if (isServed && isLong && !call.isOrphan) call.deadline = Math.max(call.deadline, now + SILENCE);
      else if (call.deadline <= now) this.events.overdue(call);
    }
    if (!isSilent) return;
    if (this.pingedAt === undefined) {
      this.pingedAt = now;
      this.events.ping();
    } else if (now - this.pingedAt > SILENCE + effort(waiting)) {
      this.awake();
      this.events.mute();
    }
  }

  /** Whether the leader has had a call for long and said nothing since. */
  private isSilent(waiting: Waiting[], now: number): boolean {
    const sentAt = waiting.find(call => call.sentAt !== undefined && !call.isOrphan)?.sentAt;
    return sentAt !== undefined && this.events.isLinked() && now - Math.max(sentAt, this.heardAt) > SILENCE;
  }
}

/** What may rightly take minutes, for as long as the leader gives signs of life. */
const LONG_CALLS = new Set<Body['op']>(['compact', 'export', 'import']);

/** How much longer a leader may be silent, in ms, while it works on something large without a pause. */
const effort = (waiting: Waiting[]): number => waiting.reduce((sum, { body }) => {
  return sum + ('text' in body ? body.text.length / BYTES_PER_MS : 0) + (LONG_CALLS.has(body.op) ? LONG : 0);
}, 0);
