import { torch } from "../../lib/index.js";

/** The states of libtorch's default generators, by device, in base64. */
export type RandomState = Readonly<Record<string, string>>;

function devices(device: string): string[] {
  return device === "cpu" ? ["cpu"] : ["cpu", device];
}

/** The random state of the CPU and of the device that trains. */
export function captureRandomState(device: string): RandomState {
  using _ = torch.scope();
  return Object.fromEntries(
    devices(device).map((name) => {
      const bytes = torch.getRngState(name).toTypedArray() as Uint8Array;
      return [
        name,
        Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"),
      ];
    }),
  );
}

/** Goes on with the random numbers where {@link captureRandomState} was called; other devices keep theirs. */
export function restoreRandomState(state: RandomState, device: string): void {
  using _ = torch.scope();
  for (const name of devices(device)) {
    const saved = state[name];
    if (saved === undefined) continue;
    torch.setRngState(torch.fromTypedArray(new Uint8Array(Buffer.from(saved, "base64"))), name);
  }
}
