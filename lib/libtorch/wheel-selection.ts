import type { WheelMember } from "./remote-wheel.js";

/** Which libraries are fetched: for the CPU alone, or those for CUDA too. */
export type WheelBuild = "cpu" | "cuda";

/** A wheel that libtorch, or what it needs, comes in. */
export interface Wheel {
  readonly project: string;
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** Of the whole wheel, in hex. */
  readonly sha256: string;
  /** Of its `RECORD`, in hex: it holds the SHA-256 of every member. */
  readonly record: string;
}

/** Python's own part, parts for tests, and what only the two of them need. */
const UNWANTED =
  /\/(?:lib)?(?:torch_python|torch_global_deps|torch|shm|aoti_custom_ops|backend_with_compiler|jitbackend_test|torchbind_test)\.\w+$/;
const OF_CUDA = /cuda|nvshmem|nvrtc/;
const LIBRARY = /\.(?:so(?:\.\d+)*|dylib|dll)$/;
/** What libtorch_cpu of a CUDA build cannot be opened without. */
const OPENED_WITH_CPU = /\/lib\/lib(?:cudart|cupti)\.so\.\d+$/;

/** Whether libtorch needs this file of a wheel at run time. */
export function isWanted({ name }: Pick<WheelMember, "name">, project: string, build: WheelBuild) {
  if (project !== "torch") {
    const pattern = build === "cuda" ? /^nvidia\/.*\/lib\/.*\.so[.\d]*$/ : OPENED_WITH_CPU;
    return pattern.test(name) || /\.dist-info\/licenses\//.test(name);
  }
  if (name === "torch/version.py" || /^torch-[^/]*\/licenses\/(LICENSE|NOTICE)$/.test(name)) {
    return true;
  }
  return (
    /^torch\/lib\/[^/]+$/.test(name) &&
    LIBRARY.test(name) &&
    !UNWANTED.test(name) &&
    (build === "cuda" || !OF_CUDA.test(name))
  );
}
