import { argumentError } from "./errors.js";

/** A device by PyTorch's name: `"cpu"`, `"cuda"` (the current one), `"cuda:1"`, `"mps"`, `"meta"`. */
export type Device = "cpu" | "cuda" | `cuda:${number}` | "mps" | "meta" | (string & {});

/** The kind of a device, without its index: `"cuda"` for `"cuda:1"`. */
export function deviceType(device: string): string {
  const colon = device.indexOf(":");
  return colon < 0 ? device : device.slice(0, colon);
}

/** The index of a device, or null where the name has none. */
export function deviceIndex(device: string): number | null {
  const colon = device.indexOf(":");
  return colon < 0 ? null : Number(device.slice(colon + 1));
}

/** Whether the text has the form of a device's name: it says nothing of whether there is one. */
export function looksLikeDevice(text: string): boolean {
  return /^[a-z]+(:\d+)?$/.test(text);
}

/** Throws where `device` is no device's name. */
export function checkDevice(operator: string, device: unknown): asserts device is Device {
  if (typeof device !== "string" || !looksLikeDevice(device)) {
    throw argumentError(operator, "device", 'a device such as "cpu", "cuda:0" or "mps"', device);
  }
}
