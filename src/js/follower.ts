/** The way of a tab to a leader in another one: finding it, reaching it, and noticing when another leads. */

import type { Link } from './call.js';
import { PumiceError, told } from './errors.js';
import { clientName, type Discovery, lockName, PROTOCOL, type Replies, type Requests } from './protocol.js';

export interface FollowerEvents {
  /** A leader answers on this tab's own channel. */
  reached: (link: Link) => void;
  /** It is gone; `quietly` if it took its leave. */
  lost: (quietly: boolean) => void;
  replies: (message: Replies) => void;
  /** A tab tried to lead and could not open the database. */
  failed: (error: PumiceError) => void;
  /** The leader's database has another key than this tab, or none. */
  refused: (error: PumiceError) => void;
  /** Someone looks for the leader. */
  asked: () => void;
  /** Nobody gave a sign of life for long, though this tab looks for a leader. */
  mute: () => void;
}

/** Between two attempts to find the leader, in ms: from this, doubling, to this. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 1_000;
const SILENCE = 10_000;

export class Follower {
  private readonly square: BroadcastChannel;
  private readonly own: BroadcastChannel;
  private term: string | undefined;
  private isReached = false;
  private isSeeking = false;
  private readonly former = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pause = FIRST_PAUSE;
  private signAt = 0;
  private readonly watchers = new Set<() => void>();

  constructor(
    name: string, private readonly client: string, private readonly proof: () => string | undefined,
    private readonly events: FollowerEvents,
  ) {
    this.square = new BroadcastChannel(lockName(name));
    this.square.onmessage = ({ data }: MessageEvent<Discovery>) => this.overhear(data);
    this.own = new BroadcastChannel(clientName(name, client));
    this.own.onmessage = ({ data }: MessageEvent<Replies | Requests>) => this.receive(data);
  }

  say(message: Discovery): void {
    this.square.postMessage(message);
  }

  /** Looks for the leader until one is reached. */
  seek(): void {
    this.isSeeking = true;
    this.signAt = performance.now();
    this.call();
  }

  /** This tab leads, so it looks for nobody. */
  rest(): void {
    this.isSeeking = false;
    this.forget();
  }

  close(): void {
    this.rest();
    this.square.close();
    this.own.close();
  }

  /** Asks for a sign of life, and waits so many ms for it. */
  isAlive(wait: number): Promise<boolean> {
    return new Promise(resolve => {
      const done = (alive: boolean): void => {
        clearTimeout(timer);
        this.watchers.delete(watcher);
        resolve(alive);
      };
      const watcher = (): void => done(true);
      const timer = setTimeout(() => done(false), wait);
      this.watchers.add(watcher);
      this.shout();
    });
  }

  /** Calls for a leader now, and again until one is reached. */
  private call(): void {
    clearTimeout(this.timer);
    this.pause = FIRST_PAUSE;
    this.repeat();
  }

  private repeat(): void {
    if (this.isReached || !this.isSeeking) return;
    this.shout();
    const due = performance.now() + this.pause;
    this.timer = setTimeout(() => {
      const now = performance.now();
      // A timer this late says that the page stood still, not that the leader did.
      if (now - due > LONGEST_PAUSE) this.signAt = now;
      if (now - this.signAt > SILENCE) {
        this.signAt = now;
        this.events.mute();
      }
      this.repeat();
    }, this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  private shout(): void {
    this.say({ type: 'hello', protocol: PROTOCOL, client: this.client, proof: this.proof() });
    // The answer comes on this tab's own channel, and only once the worker has joined it.
    if (this.term !== undefined) this.link(this.term).send({
      type: 'requests', term: this.term, client: this.client, calls: [{ id: 0, op: 'ping' }],
    }, []);
  }

  private link(term: string): Link {
    return { term, send: message => this.own.postMessage(message) };
  }

  private overhear(message: Discovery): void {
    switch (message.type) {
      case 'hello': return this.events.asked();
      case 'opening': return this.understood(message.protocol) ? this.sign() : undefined;
      case 'leader': return this.understood(message.protocol) ? this.hear(message.term) : undefined;
      case 'refused': {
        this.sign();
        return message.client === this.client ? this.events.refused(told(message.error)) : undefined;
      }
      case 'leaving': return message.term === this.term ? this.lose(true) : undefined;
      case 'failed': {
        this.sign();
        return this.events.failed(told(message.error));
      }
      case 'deposed': {
        this.sign();
        return this.term !== undefined && message.term !== this.term ? this.lose(false) : undefined;
      }
    }
  }

  private understood(protocol: number): boolean {
    if (protocol === PROTOCOL) return true;
    this.sign();
    if (this.isSeeking) {
      this.events.failed(new PumiceError('version',
        'another tab has this database open with another version of the application; reload all tabs'));
    }
    return false;
  }

  private hear(term: string): void {
    this.sign();
    if (!this.isSeeking || term === this.term || this.former.has(term)) return;
    if (this.term !== undefined) this.lose(false);
    this.term = term;
    this.call();
  }

  private receive(message: Replies | Requests): void {
    if (message.type !== 'replies') return;
    this.sign();
    if (message.term === this.term && !this.isReached) {
      this.isReached = true;
      clearTimeout(this.timer);
      this.events.reached(this.link(message.term));
    }
    this.events.replies(message);
  }

  private lose(quietly: boolean): void {
    this.forget();
    this.events.lost(quietly);
    if (this.isSeeking) this.seek();
  }

  private forget(): void {
    if (this.term !== undefined) this.former.add(this.term);
    this.term = undefined;
    this.isReached = false;
    clearTimeout(this.timer);
  }

  private sign(): void {
    this.signAt = performance.now();
    for (const watcher of [...this.watchers]) watcher();
  }
}
