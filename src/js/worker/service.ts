/** The leader at work: who its tabs are, and how it ends. */

import { type Engine, version } from '../../../pkg/pumice.js';
import {
  clientName, type Discovery, type ErrorMessage, PROTOCOL, type Replies, type Requests, type Stop, type ToWorker,
} from '../protocol.js';
import { otherKey } from '../errors.js';
import { failureOf, messageOf } from './failure.js';
import { Outbox, post } from './outbox.js';
import { recovered, Tab } from './tab.js';

interface Member { tab: Tab; outbox: Outbox; channel: BroadcastChannel | undefined }

export class Service {
  private readonly members = new Map<string, Member>();
  private ended = false;

  constructor(
    private readonly engine: Engine,
    private readonly name: string,
    private readonly term: string,
    own: string,
    /** That of the database's key, if it has one. */
    private proof: string | undefined,
    private readonly discovery: BroadcastChannel,
  ) {
    // What escapes from a microtask, a panic in the engine's background task for one, is a crash too.
    addEventListener('error', event => { this.crash(event.error ?? event.message); });
    addEventListener('unhandledrejection', event => { this.crash(event.reason); });
    this.join(own, undefined);
    discovery.onmessage = ({ data }: MessageEvent<Discovery>) => { this.hear(data); };
    post({ type: 'started', term, storage: engine.storage, ...recovered(engine) });
    this.announce();
  }

  /** From the worker's own page. */
  receive(message: Exclude<ToWorker, { type: 'start' }>): void {
    if (message.type === 'requests') this.serve(message);
    else if (message.type === 'stop') void this.stop(message);
    else this.hear(message);
  }

  private hear(message: Discovery): void {
    if (this.ended) return;
    if (message.type === 'hello') {
      if (message.protocol === PROTOCOL && message.proof !== this.proof) return this.refuse(message.client);
      if (message.protocol === PROTOCOL) this.welcome(message.client);
      this.announce();
    } else if (message.type === 'deposed' && message.term !== this.term) {
      this.mute();
      void this.end().then(close);
    }
  }

  private announce(): void {
    this.say({ type: 'leader', protocol: PROTOCOL, version: version(), term: this.term });
  }

  private say(message: Discovery): void {
    this.discovery.postMessage(message);
  }

  private refuse(client: string): void {
    // It may have come before the key was changed.
    if (this.members.has(client)) return this.announce();
    const { code, message } = otherKey('another tab');
    this.say({ type: 'refused', client, error: { code, message } });
  }

  private welcome(client: string): void {
    if (this.members.has(client)) return;
    const channel = new BroadcastChannel(clientName(this.name, client));
    // The tab hears its own channel too, and so would this one hear other workers' replies.
    channel.onmessage = ({ data }: MessageEvent<Requests | Replies>) => {
      if (data.type === 'requests') this.serve(data);
    };
    this.join(client, channel);
  }

  private join(client: string, channel: BroadcastChannel | undefined): void {
    const outbox = new Outbox(this.term, channel);
    const tab = new Tab(this.engine, client, outbox, proof => { this.proof = proof; }, error => { this.crash(error); });
    this.members.set(client, { tab, outbox, channel });
    // The own page takes this worker with it.
    if (!channel) return;
    // Whoever gets a tab's lock knows that it is gone.
    void navigator.locks.request(clientName(this.name, client), () => { this.leave(client); });
  }

  private leave(client: string): void {
    const member = this.members.get(client);
    if (!member) return;
    this.members.delete(client);
    member.tab.mute();
    if (!this.ended) member.tab.end();
    member.channel?.close();
  }

  private serve({ term, client, calls }: Requests): void {
    if (this.ended || term !== this.term) return;
    this.members.get(client)?.tab.serve(calls);
  }

  /** Closes in order. */
  private async stop({ term }: Stop): Promise<void> {
    if (term !== this.term || this.ended) return;
    this.ended = true;
    await Promise.all([...this.members.values()].map(({ tab }) => tab.written));
    const error = await this.end();
    this.say({ type: 'leaving', term });
    post({ type: 'stopped', term, ...(error && { error }) });
    close();
  }

  /** Lets the files go. What was accepted before is written first, and answered. */
  private async end(): Promise<ErrorMessage | undefined> {
    this.ended = true;
    let error: ErrorMessage | undefined;
    try {
      await this.engine.close();
    } catch (thrown) {
      error = messageOf(thrown);
    }
    for (const { outbox } of this.members.values()) outbox.flush();
    return error;
  }

  private mute(): void {
    for (const { tab } of this.members.values()) tab.mute();
  }

  /** Nothing more comes from a broken instance; what is on disk is sound, and the next worker opens it. */
  private crash(thrown: unknown): void {
    if (failureOf(thrown)) return;
    this.ended = true;
    this.mute();
    post({ type: 'crashed', term: this.term, error: messageOf(thrown) });
    close();
  }
}
