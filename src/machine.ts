import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import path from "node:path";
import { addonLoader } from "../lib/addon.js";
import { cudaDriver, glibcVersion } from "../lib/libtorch/platform.js";
import { isClone, packageRoot } from "../lib/package-root.js";
import { packageVersion } from "./version.js";

/** Variables that decide what is found, loaded and fetched. */
const TELLING =
  /^(WAVEGPT_|OMP_|GOMP_|KMP_|MKL_|LIBTORCH$|ATEN_CPU_CAPABILITY$|CUDA_VISIBLE_DEVICES$|LD_LIBRARY_PATH$|LD_PRELOAD$|NODE_OPTIONS$|NODE_EXTRA_CA_CERTS$|SSL_CERT_FILE$|PIP_INDEX_URL$|UV_DEFAULT_INDEX$|(https?|all|no)_proxy$)/i;

function distribution(): string {
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(text)?.[1] ?? "";
  } catch {
    return "";
  }
}

function npmVersion(): string {
  const told = /\bnpm\/(\S+)/.exec(process.env.npm_config_user_agent ?? "")?.[1];
  if (told !== undefined) return told;
  const run = spawnSync("npm", ["--version"], {
    encoding: "utf8",
    shell: process.platform === "win32",
    timeout: 10_000,
  });
  return run.status === 0 ? run.stdout.trim() : "not found";
}

function addonLine(): string {
  try {
    const loader = addonLoader();
    const origin = loader.includes(`${path.sep}prebuilds${path.sep}`) ? "prebuilt" : "built here";
    return `${origin}, ${statSync(loader).mtime.toISOString()} (${loader})`;
  } catch {
    return "none";
  }
}

/** The driver's version as the kernel module tells it. */
function driverLine(): string | null {
  const driver = cudaDriver();
  if (driver === null) return null;
  try {
    const text = readFileSync("/proc/driver/nvidia/version", "utf8");
    return `${/Kernel Module\D*([\d.]+)/.exec(text)?.[1] ?? "of unknown version"} (${driver})`;
  } catch {
    return `of unknown version (${driver})`;
  }
}

/** Names and passwords of addresses are nobody's business. */
function withoutSecrets(name: string, value: string): string {
  if (/token|password|secret/i.test(name)) return "(set)";
  return value.replaceAll(/\/\/[^/@\s]*@/g, "//***@");
}

/** What a bug report needs to know of this machine and installation beside what `wavegpt doctor` looks at. */
export function describeMachine(): Readonly<Record<string, string>> {
  const glibc = glibcVersion();
  const system = [distribution(), `${process.platform} ${release()}`, glibc && `glibc ${glibc}`];
  const driver = driverLine();
  const variables = Object.entries(process.env)
    .filter(([name, value]) => TELLING.test(name) && value)
    .map(([name, value]) => `${name}=${withoutSecrets(name, value ?? "")}`)
    .sort();
  return {
    wavegpt: `${packageVersion()}, ${isClone() ? "a clone" : "installed"} in ${packageRoot()}`,
    Node: `${process.version} for ${process.platform}-${process.arch} (${process.execPath}), npm ${npmVersion()}`,
    System: system.filter(Boolean).join(", "),
    Addon: addonLine(),
    ...(driver === null ? {} : { "NVIDIA driver": driver }),
    Variables: variables.length === 0 ? "none that matter" : variables.join("\n"),
  };
}
