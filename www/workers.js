/** Keeps hold of the workers that this tab starts, so that the page can kill one as a crash would. */

const started = [];
const Real = globalThis.Worker;

globalThis.Worker = class extends Real {
  constructor(...args) {
    super(...args);
    started.push(this);
  }
};

export const workers = {
  /** Ends the worker that this tab started last, at once and without a word to anyone. False when there was none. */
  kill() {
    const last = started.pop();
    last?.terminate();
    return last !== undefined;
  },
};
