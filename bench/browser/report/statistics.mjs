/** What many rounds say in two numbers. */

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median, and half the distance between the lowest and the highest, as a part of it. */
export function statistic(values) {
  if (values.length === 0) return undefined;
  const middle = median(values);
  const spread = middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / 2 / middle;
  return { median: middle, spread };
}

/** How many times better `ours` is than `theirs`: above 1, ours is better, for rates and for times and sizes alike. */
export const ratio = (ours, theirs, moreIsBetter) => (moreIsBetter ? ours / theirs : theirs / ours);
