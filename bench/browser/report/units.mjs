/** How numbers are written. */

const SCALES = {
  perSecond: [[1e6, ' M/s'], [1e3, ' k/s'], [1, ' /s']],
  seconds: [[1, ' s'], [1e-3, ' ms'], [1e-6, ' µs']],
  bytes: [[1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB'], [1, ' B']],
};

/** About three digits, and a unit that suits them. */
export function text(unit, value) {
  const scales = SCALES[unit];
  const [scale, name] = scales.find(([scale]) => value >= scale * 0.9995) ?? scales.at(-1);
  return threeDigits(value / scale) + name;
}

export function threeDigits(value) {
  const digits = value >= 99.95 || value === 0 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 ? 2 : 4;
  return value.toFixed(digits);
}

export const percent = part => `${Math.round(part * 100)} %`;

export const count = value => value.toLocaleString('en-US');
