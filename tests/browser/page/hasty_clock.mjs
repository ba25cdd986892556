/** Makes `performance.now` run fast in this worker. Timers keep their pace. */

const RATE = 50;
const now = performance.now.bind(performance);
const begin = now();
performance.now = () => begin + (now() - begin) * RATE;
