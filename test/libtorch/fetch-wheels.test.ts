import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { interpreterWithPip } from "../../lib/libtorch/interpreter.js";
import { libraryFile } from "../../lib/libtorch/platform.js";
import { RemoteWheel } from "../../lib/libtorch/remote-wheel.js";
import { downloadWheels } from "../../lib/libtorch/wheel-download.js";
import { isWanted, type Wheel } from "../../lib/libtorch/wheel-selection.js";
import { WHEELS } from "../../lib/libtorch/wheels.js";
import { RemoteFiles } from "../../lib/network/remote-files.js";
import { compileSearch } from "./compiled.js";
import { type IndexServer, startIndex } from "./index-server.js";
import { makeWheel, torchFiles } from "./stub.js";

const LIBRARY = `torch/lib/${libraryFile("torch_cpu")}`;
/** Hardly compressible, so that it takes many bytes of the wheel. */
const CONTENT = Array.from({ length: 20_000 }, (_, i) =>
  createHash("sha256").update(`${i}`).digest("hex"),
).join("");

/** The folder of the wheels. */
let made: string;
let folder: string;
let index: IndexServer;
let wheels: Wheel[];

beforeAll(() => {
  const found = interpreterWithPip();
  if (found === null) throw new Error("these tests need a Python to make wheels with");
  made = mkdtempSync(path.join(tmpdir(), "wavegpt-wheels-"));
  const files = {
    ...torchFiles("2.13.0", true),
    [LIBRARY]: CONTENT,
    [`torch/lib/${libraryFile("torch_python")}`]: CONTENT,
    "torch/__init__.py": CONTENT,
  };
  makeWheel(found.executable, made, { name: "torch", version: "2.13.0", files });
  makeWheel(found.executable, made, {
    name: "nvidia_cuda_runtime",
    version: "13.0.96",
    files: { "nvidia/cu13/lib/libcudart.so.13": "runtime", "nvidia/cu13/include/cuda.h": CONTENT },
  });
});

afterAll(() => rmSync(made, { recursive: true, force: true }));

const at = (name: string) => path.join(folder, name);
const wheelFile = "torch-2.13.0-py3-none-any.whl";

/** What the package knows of a wheel, as scripts/pin-wheels.mjs finds it out. */
async function pin(project: string, file: string): Promise<Wheel> {
  const content = readFileSync(path.join(made, file));
  const remote = new RemoteFiles();
  const address = new URL(`../files/${file}`, index.url).href;
  const wheel = await RemoteWheel.open(remote, address, content.length);
  const record = wheel.members.find(({ name }) => name.endsWith(".dist-info/RECORD"));
  const bytes = await wheel.read(record!);
  await remote.close();
  const sum = (data: Buffer) => createHash("sha256").update(data).digest("hex");
  return { project, file, size: content.length, sha256: sum(content), record: sum(bytes) };
}

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-wheels-"));
  index = await startIndex(made);
  wheels = [
    await pin("torch", wheelFile),
    await pin("nvidia-cuda-runtime", "nvidia_cuda_runtime-13.0.96-py3-none-any.whl"),
  ];
  index.ranges.length = 0;
  index.sent = 0;
  vi.stubEnv("WAVEGPT_INDEX_URL", index.url);
  for (const name of ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toUpperCase(), undefined);
  }
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});

afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await index.close();
  rmSync(folder, { recursive: true, force: true });
});

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(path.join(directory, name)).isFile())
    .sort();
}

/** Where requests for the library's bytes began in the wheel, those for its header left out. */
function startsOfLibrary(): number[] {
  return index.ranges
    .map((range) => range.split(" ")[1]!.split("-").map(Number) as [number, number])
    .filter(([from, to]) => to - from > 100_000)
    .map(([from]) => from);
}

describe("downloadWheels", () => {
  test("fetches what the CPU needs and no more, laid out as site-packages", async () => {
    await downloadWheels(wheels, "cpu", at("out"));
    expect(files(at("out"))).toEqual([
      "nvidia/cu13/lib/libcudart.so.13",
      LIBRARY,
      "torch/version.py",
    ]);
    expect(readFileSync(at(`out/${LIBRARY}`), "utf8")).toBe(CONTENT);
    const whole = wheels.reduce((sum, { size }) => sum + size, 0);
    expect(index.sent).toBeLessThan(whole / 2);
  });

  test("fetches the libraries for CUDA too where they are asked for", async () => {
    await downloadWheels(wheels, "cuda", at("out"));
    expect(files(at("out"))).toContain(`torch/lib/${libraryFile("torch_cuda")}`);
  });

  test("tells how far it is", async () => {
    await downloadWheels(wheels, "cpu", at("out"));
    const lines = vi.mocked(process.stderr.write).mock.calls.map(([text]) => String(text));
    expect(lines.at(-1)).toMatch(/^wavegpt: fetching libtorch: 1 MB of 1 MB\n$/);
  });

  test("understands an index in HTML, and one that wants a password", async () => {
    for (const options of [{ html: true }, { password: "p@ss" }]) {
      const other = await startIndex(made, options);
      vi.stubEnv("WAVEGPT_INDEX_URL", `${other.url.replace("p@ss", "p%40ss")}/`);
      await downloadWheels(wheels, "cpu", at(`out-${Object.keys(options)[0]}`));
      await other.close();
    }
    expect(files(at("out-html"))).toEqual(files(at("out-password")));
  });

  test("a transfer that is cut goes on where it ended", async () => {
    index.trouble = { cutAfter: 300_000 };
    await downloadWheels(wheels, "cpu", at("out"));
    const starts = startsOfLibrary();
    // A connection that breaks may lose what was on its way: at most 300,000 bytes come of each.
    const steps = starts.slice(1).map((start, i) => start - starts[i]!);
    expect(steps.length).toBeGreaterThan(0);
    for (const step of steps) expect(step > 0 && step <= 300_000).toBe(true);
    expect(readFileSync(at(`out/${LIBRARY}`), "utf8")).toBe(CONTENT);
  });

  test("a second try goes on where the first was given up, and keeps what it has", async () => {
    await downloadWheels(wheels, "cpu", at("whole"));
    const start = startsOfLibrary()[0]!;
    const packed = readFileSync(path.join(made, wheelFile));
    await downloadWheels(wheels.slice(1), "cpu", at("out"));
    const part = at(`out/${LIBRARY}.part`);
    mkdirSync(path.dirname(part), { recursive: true });
    writeFileSync(part, packed.subarray(start, start + 300_000));
    index.ranges.length = 0;
    await downloadWheels(wheels, "cpu", at("out"));
    expect(startsOfLibrary()).toEqual([start + 300_000]);
    expect(files(at("out"))).toEqual(files(at("whole")));
    expect(readFileSync(at(`out/${LIBRARY}`), "utf8")).toBe(CONTENT);
  });

  test("a file that came with a wrong byte is refused by name, and fetched anew the next time", async () => {
    const before = readFileSync(path.join(made, wheelFile)).indexOf(LIBRARY);
    index.trouble = { flipByteAt: before + 200_000 };
    await expect(downloadWheels(wheels, "cpu", at("out"))).rejects.toThrow(
      new RegExp(`^${LIBRARY} of http://127.*(expected SHA-256 .*, found|invalid|incorrect)`),
    );
    expect(files(at("out"))).not.toContain(LIBRARY);
    expect(files(at("out"))).not.toContain(`${LIBRARY}.part`);
    index.trouble = {};
    await downloadWheels(wheels, "cpu", at("out"));
    expect(readFileSync(at(`out/${LIBRARY}`), "utf8")).toBe(CONTENT);
  });

  test("a file that was spoilt after it came is fetched anew", async () => {
    await downloadWheels(wheels, "cpu", at("out"));
    writeFileSync(at(`out/${LIBRARY}`), "spoilt");
    await downloadWheels(wheels, "cpu", at("out"));
    expect(readFileSync(at(`out/${LIBRARY}`), "utf8")).toBe(CONTENT);
  });

  test("a mirror with another file, or other sums inside it, is refused", async () => {
    index.trouble = { sha256: "0".repeat(64) };
    await expect(downloadWheels(wheels, "cpu", at("out"))).rejects.toThrow(
      /torch-2\.13\.0.*expected one with SHA-256 [0-9a-f]{64}, the package index has one with 0{64}/,
    );
    index.trouble = {};
    const other = wheels.map((wheel) => ({ ...wheel, record: "1".repeat(64) }));
    await expect(downloadWheels(other, "cpu", at("out"))).rejects.toThrow(
      /RECORD of torch-2\.13\.0.*expected SHA-256 1{64}, found/,
    );
    const unknown = [{ ...wheels[0]!, file: "torch-2.13.0-cp313-other.whl" }];
    await expect(downloadWheels(unknown, "cpu", at("out"))).rejects.toThrow(
      "the package index does not list torch-2.13.0-cp313-other.whl",
    );
  });

  test("servers that refuse, send no parts, or are not there: the address and the reason", async () => {
    index.trouble = { withoutRanges: true };
    await expect(downloadWheels(wheels, "cpu", at("out"))).rejects.toThrow(
      /files\/torch.*expected a server that sends parts of files \(HTTP 206\), got HTTP 200/,
    );
    index.trouble = { status: 403 };
    await expect(downloadWheels(wheels, "cpu", at("out"))).rejects.toThrow(
      /simple\/torch\/ could not be read: the server answered HTTP 403/,
    );
    vi.stubEnv("WAVEGPT_INDEX_URL", "http://me:secret@127.0.0.1:9/simple");
    const failing = downloadWheels(wheels, "cpu", at("out"));
    await expect(failing).rejects.toThrow(/127\.0\.0\.1:9\/simple\/torch\/ .*ECONNREFUSED/);
    await expect(failing).rejects.not.toThrow(/secret/);
  });

  test("goes through the proxy of the environment, and says where that one fails", async () => {
    let tunnels = 0;
    const proxy = createServer().on("connect", (request, socket) => {
      tunnels++;
      const [host = "", port] = (request.url ?? "").split(":");
      const onward = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        onward.pipe(socket).pipe(onward);
      });
      onward.on("error", () => socket.destroy());
      socket.on("error", () => onward.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    vi.stubEnv("http_proxy", `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    await downloadWheels(wheels, "cpu", at("out"));
    expect(tunnels).toBeGreaterThan(0);
    await new Promise((resolve) => proxy.close(resolve));
    await expect(downloadWheels(wheels, "cpu", at("again"))).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe("which files of a wheel are wanted", () => {
  const torch = (name: string, build: "cpu" | "cuda") => isWanted({ name }, "torch", build);

  test.each([
    ["torch/lib/libtorch_cpu.so", true, true],
    ["torch/lib/libc10.so", true, true],
    ["torch/lib/libgomp.so.1", true, true],
    ["torch/lib/libarm_compute.so", true, true],
    ["torch/lib/libtorch_cuda.so", false, true],
    ["torch/lib/libc10_cuda.so", false, true],
    ["torch/lib/libcaffe2_nvrtc.so", false, true],
    ["torch/lib/libtorch_python.so", false, false],
    ["torch/lib/libtorch.so", false, false],
    ["torch/lib/libshm.so", false, false],
    ["torch/lib/torch_cpu.dll", true, true],
    ["torch/lib/torch_cpu.lib", false, false],
    ["torch/lib/libomp.dylib", true, true],
    ["torch/lib/libshm/x.so", false, false],
    ["torch/version.py", true, true],
    ["torch/include/ATen/ATen.h", false, false],
  ])("%s: for the CPU %s, for CUDA %s", (name, cpu, cuda) => {
    expect([torch(name, "cpu"), torch(name, "cuda")]).toEqual([cpu, cuda]);
  });

  test("of NVIDIA's, all libraries for CUDA, and what libtorch_cpu links for the CPU", () => {
    const nvidia = (name: string, build: "cpu" | "cuda") => isWanted({ name }, "nvidia-x", build);
    const cudart = "nvidia/cu13/lib/libcudart.so.13";
    const cudnn = "nvidia/cudnn/lib/libcudnn_ops.so.9";
    expect([nvidia(cudart, "cpu"), nvidia(cudart, "cuda")]).toEqual([true, true]);
    expect([nvidia(cudnn, "cpu"), nvidia(cudnn, "cuda")]).toEqual([false, true]);
    expect(nvidia("nvidia/cu13/include/cuda.h", "cuda")).toBe(false);
  });

  test("every platform has its wheels, those with CUDA NVIDIA's beside torch's", () => {
    expect(Object.keys(WHEELS)).toEqual(["linux-x64", "linux-arm64", "darwin-arm64", "win32-x64"]);
    for (const [platform, { cpu, cuda }] of Object.entries(WHEELS)) {
      const projects = cuda.map(({ project }) => project);
      expect(cpu[0]?.project).toBe("torch");
      if (platform.startsWith("linux")) {
        for (const needed of ["torch", "nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-nvjitlink"]) {
          expect(projects).toContain(needed);
        }
      } else expect(projects).toEqual([]);
      for (const { file, sha256, record, size } of [...cpu, ...cuda]) {
        expect(file).toMatch(/\.whl$/);
        expect([sha256, record].every((sum) => /^[0-9a-f]{64}$/.test(sum))).toBe(true);
        expect(size).toBeGreaterThan(1000);
      }
    }
  });
});

describe("at first use, in a process that imports the library", () => {
  let compiled: string;

  beforeAll(() => {
    compiled = compileSearch();
  });

  afterAll(() => rmSync(compiled, { recursive: true, force: true }));

  /** The search with this test's wheels for those of the real index. */
  function locate(extra: NodeJS.ProcessEnv = {}) {
    const table = { [`${process.platform}-${process.arch}`]: { cpu: wheels, cuda: wheels } };
    writeFileSync(
      path.join(compiled, "lib", "libtorch", "wheels.js"),
      `export const WHEELS = ${JSON.stringify(table)};`,
    );
    const module = pathToFileURL(path.join(compiled, "lib", "libtorch", "index.js")).href;
    const script = `import(${JSON.stringify(module)}).then((libtorch) =>
      console.log(JSON.stringify(libtorch.locateLibtorch()))
    ).catch((error) => { console.error(error.code, error.message); process.exit(1); });`;
    const { WAVEGPT_LIBTORCH, LIBTORCH, WAVEGPT_NO_DOWNLOAD, LD_LIBRARY_PATH, ...rest } =
      process.env;
    const child = spawn(process.execPath, ["-e", script], {
      env: { ...rest, PATH: "", WAVEGPT_CACHE_DIR: at("cache"), WAVEGPT_CUDA: "0", ...extra },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
      child.on("close", (status) => resolve({ status, stdout, stderr })),
    );
  }

  const name = `libtorch-2.13.0-${process.platform}-${process.arch}-cpu`;

  test("without Python: fetched, found, and found again with no network", async () => {
    const first = await locate();
    expect(first).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("fetching libtorch"),
    });
    expect(JSON.parse(first.stdout)).toMatchObject({
      directory: at(`cache/${name}/torch`),
      origin: "the cache",
    });
    expect(readdirSync(at("cache"))).toEqual([name]);
    const second = await locate({ WAVEGPT_INDEX_URL: "http://127.0.0.1:9" });
    expect(second).toMatchObject({ status: 0, stderr: "", stdout: first.stdout });
  });

  test("by two processes at once: one fetches, the other waits", async () => {
    const both = await Promise.all([locate(), locate()]);
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    expect(both.filter(({ stderr }) => stderr.includes("once, into the cache"))).toHaveLength(1);
    expect(readdirSync(at("cache"))).toEqual([name]);
  });

  test("with a server that breaks off: the reason, the other ways, and what came is kept", async () => {
    index.trouble = { status: 502 };
    const failed = await locate();
    expect(failed.status).toBe(1);
    expect(failed.stderr).toMatch(
      /ERR_WAVEGPT_LIBTORCH_FETCH .*could not be fetched: .*HTTP 502.*The same command goes on/,
    );
    expect(failed.stderr).toContain("set WAVEGPT_LIBTORCH");
    expect(readdirSync(at("cache"))).not.toContain(name);
    index.trouble = {};
    expect((await locate()).status).toBe(0);
  });

  test("offline: not tried", async () => {
    const { status, stderr } = await locate({ WAVEGPT_NO_DOWNLOAD: "1" });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ERR_WAVEGPT_LIBTORCH_NOT_FOUND .*WAVEGPT_NO_DOWNLOAD=1 forbids/);
    expect(index.ranges).toEqual([]);
  });
});
