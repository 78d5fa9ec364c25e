import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import { WaveGPTError } from "../../lib/errors.js";
import { proxyFor } from "../../lib/network/proxy.js";
import { reasonOf } from "../../lib/network/reason.js";

export interface DownloadOptions {
  /** What the whole file must hash to, in lower-case hex. */
  readonly sha256: string;
  /** Bytes so far and in all (null where the server does not say). */
  readonly onProgress?: (done: number, total: number | null) => void;
  /** How long to wait for a connection, in milliseconds (default 10,000). */
  readonly connectTimeout?: number;
  /** How long to wait for the next bytes, in milliseconds (default 20,000). */
  readonly idleTimeout?: number;
  /** Tries where a transfer is cut or the server is busy (default 3), each going on where the last ended. */
  readonly attempts?: number;
}

/** Not worth another try: the address cannot be reached, or the server refuses. */
class FinalError extends Error {}

const MAX_REDIRECTS = 5;

/** Codes of a network that answers nothing: another try a second later ends no differently. */
const UNREACHABLE = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  "ETIMEDOUT",
]);

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

async function open(
  address: string,
  from: number,
  options: DownloadOptions,
  agentFor: (url: string) => Dispatcher,
) {
  let url = address;
  for (let redirects = 0; ; redirects++) {
    const response = await request(url, {
      dispatcher: agentFor(url),
      headersTimeout: options.idleTimeout ?? 20_000,
      bodyTimeout: options.idleTimeout ?? 20_000,
      // Compressed bytes could neither be counted nor continued.
      headers: {
        "accept-encoding": "identity",
        "user-agent": "wavegpt",
        ...(from > 0 ? { range: `bytes=${from}-` } : {}),
      },
    });
    const { location } = response.headers;
    if (response.statusCode < 300 || response.statusCode >= 400 || typeof location !== "string") {
      return response;
    }
    await response.body.dump();
    if (redirects === MAX_REDIRECTS) throw new FinalError(`more than ${MAX_REDIRECTS} redirects`);
    url = new URL(location, url).href;
  }
}

/** One try: appends to `part` what is missing of it. */
async function transfer(
  address: string,
  part: string,
  options: DownloadOptions,
  agentFor: (url: string) => Dispatcher,
) {
  const from = sizeOf(part);
  const response = await open(address, from, options, agentFor);
  const { statusCode, headers, body } = response;
  if (statusCode !== 200 && statusCode !== 206) {
    await body.dump();
    // 416: the part is as long as the file, or longer: it is none of it.
    if (statusCode === 416) {
      rmSync(part, { force: true });
      throw new Error("the server cannot go on where the last try ended (HTTP 416)");
    }
    const busy = statusCode === 429 || statusCode >= 500;
    const message = `the server answered HTTP ${statusCode}`;
    throw busy ? new Error(message) : new FinalError(message);
  }
  const resumed = statusCode === 206;
  const start = resumed ? from : 0;
  const length = headers["content-length"];
  const total = typeof length === "string" ? start + Number(length) : null;
  let done = start;
  options.onProgress?.(done, total);
  const counted = Readable.from(
    (async function* () {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        done += chunk.length;
        options.onProgress?.(done, total);
        yield chunk;
      }
    })(),
  );
  await pipeline(counted, createWriteStream(part, { flags: resumed ? "a" : "w" }));
}

/**
 * Downloads `address` to `file`, through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name. The file
 * appears only when it is whole and its SHA-256 is right. A transfer that is cut goes on where it ended, at most
 * `attempts` times.
 *
 * @throws WaveGPTError `ERR_WAVEGPT_DOWNLOAD` with the address and the reason.
 */
export async function download(
  address: string,
  file: string,
  options: DownloadOptions,
): Promise<void> {
  // Of this process alone: two that append to one file would spoil it.
  const part = `${file}.${process.pid}.part`;
  mkdirSync(path.dirname(file), { recursive: true });
  const agents: Dispatcher[] = [];
  const agentFor = (url: string) => {
    const connect = { timeout: options.connectTimeout ?? 10_000 };
    const proxy = proxyFor(url);
    const agent = proxy === null ? new Agent({ connect }) : new ProxyAgent({ uri: proxy, connect });
    agents.push(agent);
    return agent;
  };
  const attempts = options.attempts ?? 3;
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await transfer(address, part, options, agentFor);
        const found = await sha256Of(part);
        if (found === options.sha256) break;
        rmSync(part, { force: true });
        throw new Error(`expected SHA-256 ${options.sha256}, got ${found}`);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const final = error instanceof FinalError || (code !== undefined && UNREACHABLE.has(code));
        if (final || attempt >= attempts) throw error;
        await sleep(250 * 2 ** (attempt - 1));
      }
    }
    renameSync(part, file);
  } catch (error) {
    rmSync(part, { force: true });
    throw new WaveGPTError(
      "ERR_WAVEGPT_DOWNLOAD",
      `${address} could not be fetched: ${reasonOf(error)}`,
      {
        cause: error,
      },
    );
  } finally {
    await Promise.all(agents.map((agent) => agent.destroy()));
  }
}
