/** Who leads: the tab that holds the Web Lock `pumice:<name>`.
 *
 *  The lock elects; what keeps two leaders apart is that only one worker can have the files open. */

import { lockName } from './protocol.js';

export interface ElectionEvents {
  /** This tab has the lock; `byForce` if it was taken from another one. */
  elected: (byForce: boolean) => void;
  /** Another tab has taken the lock away, for this one did not answer. */
  stolen: () => void;
  /** The browser gives no locks here. */
  refused: (cause: unknown) => void;
}

/** How long a leader that seemed mute has for a sign of life once its lock is about to be taken, in ms. */
const LAST_CHANCE = 1_500;

export class Election {
  private readonly lock: string;
  private candidacy: AbortController | undefined;
  private release: (() => void) | undefined;
  private deposing = false;

  constructor(name: string, private readonly events: ElectionEvents) {
    this.lock = lockName(name);
  }

  /** Waits for the lock, unless it waits or leads already. */
  campaign(): void {
    if (this.candidacy !== undefined || this.release !== undefined) return;
    const candidacy = new AbortController();
    this.candidacy = candidacy;
    void this.hold({ signal: candidacy.signal });
  }

  /** Gives the lock back, or waits for it no more. */
  resign(): void {
    this.candidacy?.abort();
    this.candidacy = undefined;
    this.release?.();
    this.release = undefined;
  }

  /** Takes the lock from a leader that gives no sign of life. Tabs do this one after the other, and each looks first
   *  whether the one before has helped; `isAlive` waits for a sign for so many ms. `settled` ends when it is known
   *  whether this tab can lead. */
  async depose(isAlive: (wait: number) => Promise<boolean>, settled: () => Promise<void>): Promise<void> {
    if (this.deposing || this.release !== undefined) return;
    this.deposing = true;
    try {
      await navigator.locks.request(`${this.lock}:depose`, async () => {
        if (await isAlive(LAST_CHANCE) || this.candidacy === undefined || this.release !== undefined) return;
        this.candidacy.abort();
        this.candidacy = undefined;
        void this.hold({ steal: true });
        await settled();
      });
    } catch (cause) {
      this.events.refused(cause);
    } finally {
      this.deposing = false;
    }
  }

  private async hold(options: LockOptions): Promise<void> {
    let release: (() => void) | undefined;
    try {
      await navigator.locks.request(this.lock, options, () => new Promise<void>(resolve => {
        // Given up in the very moment in which it was granted.
        if (options.signal?.aborted === true) return resolve();
        release = resolve;
        this.release = resolve;
        this.candidacy = undefined;
        this.events.elected(options.steal === true);
      }));
    } catch (cause) {
      if (release !== undefined && this.release === release) {
        this.release = undefined;
        this.events.stolen();
      } else if (release === undefined && options.signal?.aborted !== true) {
        this.events.refused(cause);
      }
    }
  }
}
