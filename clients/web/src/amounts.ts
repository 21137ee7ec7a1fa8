/** Numbers and times as people read them: always as wide, never more digits than are known. */

export const MINUS = "−";
export const NOTHING = "–";

const fixed = new Map<number, Intl.NumberFormat>();
const compact = new Intl.NumberFormat("en", {
  notation: "compact",
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
});
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Write a price with as many digits after the point as its instrument has. */
export function formatPrice(price: number, precision: number): string {
  let format = fixed.get(precision);
  if (format === undefined) {
    format = new Intl.NumberFormat("en", {
      minimumFractionDigits: precision,
      maximumFractionDigits: precision,
    });
    fixed.set(precision, format);
  }
  return signed(format.format(price));
}

/** Write a share as a percentage with its sign: 0.0249 is +2.49 %. */
export function formatChange(share: number): string {
  const text = formatPrice(Math.abs(share) * 100, 2);
  return `${Number(text.replaceAll(",", "")) === 0 ? "" : share > 0 ? "+" : MINUS}${text} %`;
}

/** Write an amount in three digits: 25,140.6 is 25.1K. */
export function formatCompact(amount: number): string {
  return signed(compact.format(amount));
}

export function formatCount(count: number): string {
  return whole.format(count);
}

/** Write a rate of bytes: 12.3 kB/s. */
export function formatByteRate(bytesPerS: number): string {
  return bytesPerS < 1_000_000
    ? `${formatPrice(bytesPerS / 1000, bytesPerS < 100_000 ? 1 : 0)} kB/s`
    : `${formatPrice(bytesPerS / 1_000_000, 1)} MB/s`;
}

/** Write a duration of milliseconds: 0.8 ms, 43 ms, 1.2 s. */
export function formatMilliseconds(ms: number): string {
  const size = Math.abs(ms);
  if (size >= 1000) {
    return `${formatPrice(ms / 1000, size < 10_000 ? 1 : 0)} s`;
  }
  return `${formatPrice(ms, size < 10 ? 1 : 0)} ms`;
}

/** Write a duration in words: 40 s, 12 min, 3 h. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) {
    return `${seconds} s`;
  }
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

function signed(text: string): string {
  return text.replace("-", MINUS);
}
