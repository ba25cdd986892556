/** The plot of ratios, as SVG that reads on light and on dark pages: no background, and grey for what is no bar. */

import { threeDigits } from './units.mjs';

const GREY = '#808080';
/** Colours that colour-blind eyes tell apart, after Okabe and Ito. */
const BETTER = '#d55e00';
const WORSE = '#0072b2';
const WIDTH = 800;
const NAMES = 340;
const ROW = 26;
const MARGIN = 12;

/** One bar for each of `bars`, `{ name, ratio }`, on a logarithmic axis: to the right of 1, Pumice is better. */
export function ratios(bars) {
  const values = bars.map(({ ratio }) => ratio);
  const low = Math.log(Math.min(0.5, ...values) / 1.3);
  const high = Math.log(Math.max(2, ...values) * 1.8);
  const x = value => Math.round(NAMES + ((Math.log(value) - low) / (high - low)) * (WIDTH - NAMES - MARGIN));
  const bottom = MARGIN + ROW * bars.length;
  const parts = ticks(Math.exp(low), Math.exp(high)).map(value => line(x(value), bottom, value));
  bars.forEach(({ name, ratio }, at) => {
    const top = MARGIN + ROW * at;
    const [from, to] = [x(1), x(ratio)].sort((a, b) => a - b);
    const colour = ratio >= 1 ? BETTER : WORSE;
    parts.push(
      `<text x="${NAMES - 8}" y="${top + 17}" text-anchor="end">${escaped(name)}</text>`,
      `<rect x="${from}" y="${top + 5}" width="${Math.max(1, to - from)}" height="${ROW - 10}" fill="${colour}"/>`,
      `<text x="${to + 6}" y="${top + 17}">${threeDigits(ratio)}×</text>`,
    );
  });
  const title = 'times as good as the best of the others';
  parts.push(`<text x="${(NAMES + WIDTH) / 2}" y="${bottom + 38}" text-anchor="middle">${title}</text>`);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${bottom + 48}" ` +
    `font-family="sans-serif" font-size="14" fill="${GREY}">\n${parts.join('\n')}\n</svg>\n`
  );
}

/** 1, 2 and 5 of each decade between. */
function ticks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${power}`));
  }
  return all.filter(value => value >= low && value <= high);
}

const line = (x, bottom, value) =>
  `<line x1="${x}" y1="${MARGIN}" x2="${x}" y2="${bottom}" stroke="${GREY}" ` +
  `stroke-opacity="${value === 1 ? 1 : 0.35}"/>` +
  `<text x="${x}" y="${bottom + 18}" text-anchor="middle">${value}</text>`;

const escaped = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
