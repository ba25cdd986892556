/** The page's life: it may be left, put to sleep (back/forward cache, freezing) and shown again.
 *
 *  A sleeping page must hold nothing: neither locks nor channels, which would keep it from the cache, nor files, which
 *  would keep the other tabs from the database. */

export interface Sleeper {
  /** The page may soon be left. */
  hurry(): void;
  /** The page stands still after this, or ends unless it `isKept`. */
  suspend(isKept: boolean): void;
  /** The page goes on. */
  resume(): void;
}

type Listening = [target: EventTarget | undefined, type: string, listen: (event: Event) => void];

export class PageLife {
  private readonly listening: Listening[] = [];
  private isLeavingWatched = false;

  constructor(private readonly sleeper: Sleeper) {
    const { document } = globalThis;
    this.listen(globalThis, 'pagehide', event => sleeper.suspend((event as PageTransitionEvent).persisted));
    this.listen(globalThis, 'pageshow', () => sleeper.resume());
    this.listen(document, 'freeze', () => sleeper.suspend(true));
    this.listen(document, 'resume', () => sleeper.resume());
    this.listen(document, 'visibilitychange', () => {
      if (document.visibilityState === 'hidden') sleeper.hurry();
    });
  }

  /** Tells the sleeper in time before the page is left for another one. Not from the beginning: some browsers do not
   *  cache a page with such a listener. */
  watchLeaving(): void {
    if (this.isLeavingWatched) return;
    this.isLeavingWatched = true;
    this.listen(globalThis, 'beforeunload', () => this.sleeper.hurry());
  }

  end(): void {
    for (const [target, type, listen] of this.listening.splice(0)) target?.removeEventListener(type, listen);
  }

  private listen(target: unknown, type: string, listen: (event: Event) => void): void {
    const listening: Listening = [target as EventTarget | undefined, type, listen];
    this.listening.push(listening);
    listening[0]?.addEventListener(type, listen);
  }
}
