// Numbers as Python formats them.

/** Python's `format(value, ".{digits}f")`: exact, and half to even where JavaScript rounds half up. */
export function toFixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const negative = value < 0 || Object.is(value, -0);
  const magnitude = Math.abs(value);
  let text: string;
  if (magnitude >= 1e21) {
    text = BigInt(magnitude).toString() + (digits > 0 ? `.${"0".repeat(digits)}` : "");
  } else {
    text = magnitude.toFixed(digits);
    // At a tie the exact expansion ends in a 5 right behind the digits.
    const exact = magnitude.toFixed(100);
    const tail = exact.slice(exact.indexOf(".") + 1 + digits);
    if (/^50*$/.test(tail)) text = evenDecimal(exact, digits);
  }
  return (negative ? "-" : "") + text;
}

/** Truncates an exact decimal that is a tie and makes its last digit even. */
function evenDecimal(exact: string, digits: number): string {
  const point = exact.indexOf(".");
  const scaled = BigInt(exact.slice(0, point) + exact.slice(point + 1, point + 1 + digits));
  const even = (scaled % 2n === 0n ? scaled : scaled + 1n).toString().padStart(digits + 1, "0");
  if (digits === 0) return even;
  return `${even.slice(0, -digits)}.${even.slice(-digits)}`;
}

/** Python's `format(value, ".{digits}e")`. */
export function toExponential(value: number, digits: number): string {
  if (!Number.isFinite(value)) return toFixed(value, digits);
  const magnitude = Math.abs(value);
  let text = magnitude.toExponential(digits);
  const exact = magnitude.toExponential(100);
  const [mantissa, power] = exact.split("e") as [string, string];
  if (/^50*$/.test(mantissa.slice(2 + digits))) {
    text = `${evenDecimal(mantissa, digits)}e${power}`;
    // 9.99..5 rounded to 10.0
    if (text.startsWith("10")) text = `${toFixed(1, digits)}e${withSign(Number(power) + 1)}`;
  }
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  return sign + text.replace(/e([+-])(\d)$/, "e$10$2");
}

function withSign(power: number): string {
  return power < 0 ? `${power}` : `+${power}`;
}
