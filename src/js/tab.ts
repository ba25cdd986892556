/** One database in one page: a follower of the leader, or the leader itself, as the election has it.
 *
 *  Whichever it is, `calls` reach the leader and `feeds` go on; changing roles loses neither. */

import { Calls } from './calls.js';
import { Election } from './election.js';
import { PumiceError, wrapped } from './errors.js';
import { Feeds } from './feeds.js';
import { Follower } from './follower.js';
import type { Launch } from './launch.js';
import type { CheckedOptions } from './options.js';
import { clientName, PROTOCOL, type Replies } from './protocol.js';
import { type Keyed, keyedBy } from './secret.js';
import { Subscriptions } from './subscriptions.js';
import type { Encryption } from './types.js';
import { WorkerHost } from './worker-host.js';

/** An open that finds neither files nor leader gives up after this, in ms. */
const OPENING = 55_000;
/** How long closing waits for calls under way, in ms. */
const SETTLING = 10_000;
/** So many crashes of the worker within so many ms, and another tab shall try. */
const CRASHES = 5;
const CRASH_WINDOW = 60_000;
/** Before this tab tries to lead again after it could not, in ms: doubling, to the longest. */
const FIRST_RETRY = 500;
const LONGEST_RETRY = 15_000;

export class Tab {
  readonly calls: Calls;
  readonly feeds: Feeds;
  readonly subscriptions: Subscriptions;
  private readonly client = randomId();
  private readonly election: Election;
  private follower: Follower | undefined;
  private host: WorkerHost | undefined;
  /** Launched while it is not known yet who leads. */
  private spare: WorkerHost | undefined;
  private isAsleep = false;
  private suspendedAt = 0;
  private term = '';
  private leads = false;
  private crashes: number[] = [];
  private retry = FIRST_RETRY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private releaseClient: (() => void) | undefined;
  private isClosed = false;
  private opening: { resolve: () => void; reject: (error: PumiceError) => void } | undefined;
  private ledOrFailed: (() => void)[] = [];

  /** `buffered` is told when there is something that leaving the page could cost. */
  constructor(
    private readonly name: string, private readonly launch: Launch, private readonly options: CheckedOptions,
    private keyed: Keyed | undefined, buffered: () => void,
  ) {
    this.calls = new Calls(this.client, () => this.mute(), buffered);
    this.feeds = new Feeds(this.calls);
    this.subscriptions = new Subscriptions(this.calls, this.feeds);
    this.election = new Election(name, {
      elected: byForce => this.lead(byForce),
      stolen: () => this.follow(),
      refused: cause => this.failed(wrapped('unsupported', 'this page gets no Web Locks', cause)),
    });
  }

  /** That of the key, if the database has one. */
  get proof(): string | undefined {
    return this.keyed?.proof;
  }

  get isLeader(): boolean {
    return this.leads;
  }

  /** Resolves once a leader is reached. After a rejection the tab is closed. */
  async open(): Promise<void> {
    const opened = new Promise<void>((resolve, reject) => { this.opening = { resolve, reject }; });
    // Where there are no locks, joining fails too, and first.
    opened.catch(() => {});
    const limit = setTimeout(() => {
      this.opened(this.calls.failure
        ?? new PumiceError('timeout', 'the database could not be opened in time: no leader answers'));
    }, OPENING);
    try {
      // A busy page gets its locks late, and most often it is this tab that leads.
      this.spare = this.launchWorker();
    } catch {
      // It is tried again, and told, if this tab is to lead.
    }
    try {
      await this.join();
      await opened;
    } catch (cause) {
      // It has done nothing that would have to be finished.
      this.host?.terminate();
      await this.close();
      throw wrapped('io', 'the database could not be opened', cause);
    } finally {
      clearTimeout(limit);
    }
  }

  private opened(error?: PumiceError): void {
    this.dropSpare();
    if (error === undefined) this.opening?.resolve();
    else this.opening?.reject(error);
    this.opening = undefined;
  }

  /** Takes part: from now on this tab may lead, and looks for the leader. */
  private async join(): Promise<void> {
    let release = (): void => {};
    const released = new Promise<void>(resolve => { release = resolve; });
    this.releaseClient = release;
    const locked = new Promise<void>((resolve, reject) => {
      navigator.locks.request(clientName(this.name, this.client), () => { resolve(); return released; }).catch(reject);
    });
    this.follower = new Follower(this.name, this.client, () => this.proof, {
      reached: link => {
        this.calls.attach(link);
        this.connected();
      },
      lost: quietly => this.calls.detach(quietly),
      replies: message => this.receive(message),
      failed: error => this.otherFailed(error),
      refused: error => this.refused(error),
      asked: () => {
        if (!this.leads || this.host?.started === true) return;
        this.follower?.say({ type: 'opening', protocol: PROTOCOL, term: this.term });
      },
      mute: () => this.mute(),
    });
    // Locks are granted in the order in which they are asked for, so this tab has its own before it leads.
    this.election.campaign();
    // A leader's worker takes a tab without its lock for gone: so the lock comes before the first hello.
    await locked;
    // It may have left while it waited, and joined again.
    if (this.releaseClient === release && !this.leads) this.follower?.seek();
  }

  private connected(): void {
    this.feeds.resume();
    this.opened();
  }

  private receive(message: Replies): void {
    this.calls.receive(message.results);
    this.feeds.receive(message.news);
  }

  private lead(byForce: boolean): void {
    // Elected in the very moment in which it left.
    if (this.follower === undefined) return this.election.resign();
    this.leads = true;
    this.follower.rest();
    this.calls.detach(!byForce);
    this.crashes = [];
    this.startWorker();
    if (byForce) this.follower.say({ type: 'deposed', term: this.term });
  }

  private startWorker(): void {
    try {
      this.host = this.spare ?? this.launchWorker();
      this.spare = undefined;
      this.term = this.host.term;
      void this.host.begin();
    } catch (cause) {
      this.failed(wrapped('io', 'the worker could not be started', cause));
    }
  }

  /** Throws what launching throws. */
  private launchWorker(): WorkerHost {
    const host: WorkerHost = new WorkerHost(this.launch, {
      name: this.name, term: randomId(), client: this.client, places: this.options.places, options: this.options.engine,
      keyed: this.keyed,
    }, {
      started: () => {
        this.retry = FIRST_RETRY;
        this.calls.attach(host);
        this.connected();
        this.settled();
      },
      failed: error => {
        if (this.host === host) this.failed(error);
        else this.dropSpare();
      },
      replies: message => this.receive(message),
      gone: error => this.replaceWorker(error),
    });
    return host;
  }

  private dropSpare(): void {
    this.spare?.terminate();
    this.spare = undefined;
  }

  /** The worker is gone, the lock is still here: the next one takes over under a new term. */
  private replaceWorker(error: PumiceError): void {
    this.host = undefined;
    this.calls.detach(false, error);
    const now = performance.now();
    this.crashes = [...this.crashes.filter(at => now - at < CRASH_WINDOW), now];
    if (this.crashes.length > CRASHES) return this.failed(error);
    this.timer = setTimeout(() => this.startWorker(), (this.crashes.length - 1) * 100);
  }

  /** This tab cannot lead. Others may, and it tries again later. */
  private failed(error: PumiceError): void {
    this.follower?.say({ type: 'failed', term: this.term, error: { code: error.code, message: error.message } });
    this.stepDown();
    this.settled();
    this.calls.failure = error;
    if (this.opening !== undefined) return this.opened(error);
    if (this.isClosed) return;
    if (isLasting(error)) this.calls.failAll(error);
    this.follower?.seek();
    this.timer = setTimeout(() => this.election.campaign(), this.retry);
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY);
  }

  /** Another tab cannot lead. What is wrong with its way to the worker, or with its key, need not be wrong with this one's. */
  private otherFailed(error: PumiceError): void {
    this.calls.failure = error;
    if (error.code !== 'io' && error.code !== 'invalid-argument') this.refused(error);
  }

  private refused(error: PumiceError): void {
    this.calls.failure = error;
    if (this.opening !== undefined) this.opened(error);
    else if (isLasting(error)) this.calls.failAll(error);
  }

  /** Has another key open the database. Other tabs go on until they would have to lead. */
  async changeKey(encryption: Encryption): Promise<void> {
    if (this.keyed === undefined) throw new PumiceError('invalid-argument', 'the database is not encrypted, so it has no key');
    const keyed = await keyedBy(encryption, this.name);
    // Done twice it would undo another change: so it is not asked again.
    await this.calls.ask({ op: 'changeKey', ...keyed }, 'once');
    this.keyed = keyed;
  }

  private stepDown(): void {
    clearTimeout(this.timer);
    this.leads = false;
    this.host?.terminate();
    this.host = undefined;
    this.calls.detach(false);
    this.election.resign();
  }

  /** Another tab has taken over, for this one's worker did not answer. */
  private follow(): void {
    this.stepDown();
    this.settled();
    if (this.isClosed) return;
    this.follower?.seek();
    this.election.campaign();
  }

  private mute(): void {
    if (this.isClosed || !(this.calls.isWaiting || this.opening !== undefined)) return;
    if (this.leads) {
      if (this.host?.started !== true) return;
      this.host.terminate();
      this.replaceWorker(new PumiceError('timeout', 'the worker does not answer'));
      return;
    }
    void this.election.depose(
      wait => this.follower?.isAlive(wait) ?? Promise.resolve(true),
      () => new Promise(resolve => { this.ledOrFailed.push(resolve); }),
    );
  }

  private settled(): void {
    for (const resolve of this.ledOrFailed.splice(0)) resolve();
  }

  /** What was buffered becomes durable now, for the page may soon be left. */
  hurry(): void {
    if (this.calls.hasUnsynced) this.calls.request({ op: 'sync' }, () => {}, () => {});
    this.calls.flush();
  }

  /** Lets go of everything, for the page stands still after this; or it ends, unless it is `kept`. */
  suspend(isKept: boolean): void {
    if (this.isClosed || this.isAsleep) return;
    this.isAsleep = true;
    if (this.host === undefined) this.calls.tell({ op: 'bye' });
    this.calls.flush();
    // A worker that stands still must not have files open, nor would the page be kept with one that has. What it had
    // accepted and not made durable is asked again when the page goes on, like all that has no answer.
    if (isKept) this.host?.terminate();
    else void this.host?.stop();
    this.host = undefined;
    this.suspendedAt = performance.now();
    this.leave();
  }

  /** Takes part again after `suspend`, and asks again what has no answer. */
  resume(): void {
    // Pages say that they are shown when they are loaded, too.
    if (this.isClosed || !this.isAsleep) return;
    this.isAsleep = false;
    this.calls.awake(performance.now() - this.suspendedAt);
    this.join().catch(cause => this.failed(wrapped('io', 'the database could not be opened again', cause)));
  }

  private leave(): void {
    clearTimeout(this.timer);
    this.dropSpare();
    this.calls.detach(true);
    this.follower?.close();
    this.follower = undefined;
    this.leads = false;
    this.settled();
    this.election.resign();
    this.releaseClient?.();
    this.releaseClient = undefined;
  }

  /** Waits for what was asked, then lets go of everything. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    this.hurry();
    await this.calls.settled(SETTLING);
    this.isClosed = true;
    const closed = new PumiceError('closed', 'the database was closed');
    this.feeds.end(closed);
    this.calls.tell({ op: 'bye' });
    this.calls.flush();
    this.calls.end(closed);
    await this.host?.stop();
    this.host?.terminate();
    this.host = undefined;
    this.leave();
  }
}

/** What no other tab and no waiting helps against. */
const isLasting = ({ code }: PumiceError): boolean =>
  code === 'corrupt' || code === 'version' || code === 'unsupported' || code === 'invalid-argument';

const randomId = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), byte => byte.toString(16).padStart(2, '0')).join('');
