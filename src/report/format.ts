/** `812,993` */
export function formatCount(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}

/** `1.4697` */
export function formatLoss(loss: number): string {
  return loss.toFixed(4);
}

/** `3e-4`, `0.01` */
export function formatRate(rate: number): string {
  if (rate === 0 || (rate >= 0.001 && rate < 1000)) return String(Number(rate.toPrecision(3)));
  return rate
    .toExponential(2)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

/** `950`, `12.3k`, `1.24M` */
export function formatShort(n: number): string {
  if (n >= 1e6) return `${(n / 1e6).toFixed(2)}M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)}k`;
  return formatCount(n);
}

/** `8 s`, `3 min 20 s`, `2 h 05 min` */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}
