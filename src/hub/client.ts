import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import { WaveGPTError } from "../../lib/errors.js";
import { proxyFor } from "../../lib/network/proxy.js";
import { reasonOf } from "../../lib/network/reason.js";

/** Where the hub is, and who asks. */
export interface HubOptions {
  /** Default: `HF_ENDPOINT`, or https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** Default: `HF_TOKEN`, or none. */
  readonly token?: string | undefined;
  /** Tries in a row without a byte gained before it gives up; default 6. */
  readonly attempts?: number | undefined;
  /** Told of a wait that is longer than a moment. */
  readonly onNotice?: ((message: string) => void) | undefined;
}

export interface HubResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array> & { dump(): Promise<void>; text(): Promise<string> };
  /** Where it came from at last. */
  readonly address: string;
}

/** What another try may mend. */
class Passing extends Error {
  constructor(
    message: string,
    readonly waitSeconds: number | null = null,
  ) {
    super(message);
  }
}

const MAX_REDIRECTS = 8;
const FIRST_WAIT_SECONDS = 0.5;
const LONGEST_WAIT_SECONDS = 60;
/** A server that wants a longer pause than this is believed, but not waited for. */
const LONGEST_ASKED_SECONDS = 600;
const TIMEOUT = 30_000;

/** Seconds that `Retry-After` asks for: a number, or a date. */
function retryAfter(value: string | undefined): number | null {
  if (value === undefined) return null;
  const seconds = /^\d+$/.test(value.trim())
    ? Number(value)
    : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

function plainHeaders(headers: Record<string, string | string[] | undefined>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value[0]! : (value ?? ""),
    ]),
  );
}

/** Asks a Hugging Face hub, or a mirror of it, patiently. */
export class HubClient {
  readonly endpoint: string;
  readonly #token: string | null;
  readonly #attempts: number;
  readonly #onNotice: (message: string) => void;
  readonly #agents = new Map<string, Dispatcher>();

  constructor({ endpoint, token, attempts = 6, onNotice }: HubOptions = {}) {
    const address = endpoint || process.env.HF_ENDPOINT || "https://huggingface.co";
    this.endpoint = address.replace(/\/+$/, "");
    this.#token = token || process.env.HF_TOKEN || null;
    this.#attempts = attempts;
    this.#onNotice = onNotice ?? (() => {});
  }

  /**
   * The JSON at an address, and that of the next page, if there is one.
   * @throws WaveGPTError ERR_WAVEGPT_HUB
   */
  async json(address: string): Promise<{ value: unknown; next: string | null }> {
    let value: unknown;
    let next: string | null = null;
    await this.patiently(address, async () => {
      const response = await this.open(address, {});
      const text = await response.body.text();
      try {
        value = JSON.parse(text);
      } catch {
        throw new Passing(`it answered something that is not JSON: ${text.slice(0, 80)}`);
      }
      const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.link ?? "")?.[1];
      next = link === undefined ? null : new URL(link, address).href;
      return true;
    });
    return { value, next };
  }

  /**
   * Bytes of a file from `from` to before `to`, as they come. A transfer that is cut goes on where it ended.
   * @param check throws where the answer is not that of the file that is wanted
   */
  async *bytes(
    address: string,
    from: number,
    to: number,
    check: (response: HubResponse) => void,
  ): AsyncGenerator<Uint8Array> {
    let at = from;
    let failures = 0;
    while (at < to) {
      try {
        const response = await this.open(address, { range: `bytes=${at}-${to - 1}` });
        check(response);
        const start = /^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1];
        if (response.status === 206 && Number(start ?? at) !== at) {
          await response.body.dump();
          throw new Passing(`asked for the bytes from ${at}, it sent those from ${start}`);
        }
        if (response.status === 200 && at > 0) {
          await response.body.dump();
          throw new WaveGPTError(
            "ERR_WAVEGPT_HUB",
            `${address}: expected a server that sends parts of files (HTTP 206), got all of it (HTTP 200).`,
          );
        }
        for await (const chunk of response.body) {
          const wanted = chunk.length > to - at ? chunk.subarray(0, to - at) : chunk;
          at += wanted.length;
          failures = 0;
          yield wanted;
          if (at >= to) return;
        }
        if (at < to) throw new Passing(`the transfer ended ${to - at} bytes early`);
      } catch (error) {
        failures++;
        await this.#recover(address, error, failures);
      }
    }
  }

  /** Tries until it succeeds, or it makes no sense any more. */
  async patiently(address: string, attempt: () => Promise<unknown>): Promise<void> {
    for (let failures = 1; ; failures++) {
      try {
        await attempt();
        return;
      } catch (error) {
        await this.#recover(address, error, failures);
      }
    }
  }

  /** One request, with its redirects; the token goes to the hub alone, not to where it sends us. */
  async open(address: string, headers: Readonly<Record<string, string>>): Promise<HubResponse> {
    let url = address;
    const linked: Record<string, string> = {};
    for (let redirects = 0; ; redirects++) {
      const own = new URL(url).origin === new URL(this.endpoint).origin;
      const response = await request(url, {
        dispatcher: this.#agentFor(url),
        headersTimeout: TIMEOUT,
        bodyTimeout: TIMEOUT,
        headers: {
          "accept-encoding": "identity",
          "user-agent": "wavegpt",
          ...headers,
          ...(own && this.#token !== null ? { authorization: `Bearer ${this.#token}` } : {}),
        },
      });
      const found = plainHeaders(response.headers);
      for (const [name, value] of Object.entries(found)) {
        if (/^x-(linked|repo)-/.test(name)) linked[name] = value;
      }
      const { statusCode: status, body } = response;
      if (status >= 300 && status < 400 && found.location !== undefined) {
        await body.dump();
        if (redirects === MAX_REDIRECTS) {
          throw new WaveGPTError(
            "ERR_WAVEGPT_HUB",
            `${address}: more than ${MAX_REDIRECTS} redirects.`,
          );
        }
        url = new URL(found.location, url).href;
        continue;
      }
      if (status >= 400) await this.#refused(address, status, found, body, own);
      return { status, headers: { ...found, ...linked }, body, address: url };
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }

  async #refused(
    address: string,
    status: number,
    headers: Readonly<Record<string, string>>,
    body: HubResponse["body"],
    own: boolean,
  ): Promise<never> {
    const text = (await body.text()).slice(0, 2000);
    if (status === 429 || status === 408 || status >= 500) {
      throw new Passing(`it answered HTTP ${status}`, retryAfter(headers["retry-after"]));
    }
    // An address that was signed for a while is signed anew by asking the hub again.
    if (!own && (status === 401 || status === 403 || status === 410)) {
      throw new Passing(`the store of its files answered HTTP ${status}`);
    }
    const said = headers["x-error-message"] ?? /"error"\s*:\s*"([^"]*)"/.exec(text)?.[1];
    const because = said === undefined ? "" : ` (${said})`;
    const login =
      this.#token === null
        ? "If the dataset is private or gated, set HF_TOKEN to a token that may read it."
        : "The token in HF_TOKEN is not valid, has expired, or may not read this dataset.";
    const what: Readonly<Record<number, string>> = {
      401: `the hub wants to know who asks, HTTP 401${because}. ${login}`,
      403: `the hub refuses it, HTTP 403${because}. ${login}`,
      404: `there is no such thing at the hub, HTTP 404${because}.`,
    };
    throw new WaveGPTError(
      "ERR_WAVEGPT_HUB",
      `${address}: ${what[status] ?? `the hub answered HTTP ${status}${because}.`}`,
    );
  }

  /** Waits before the next try. @throws where there is to be none */
  async #recover(address: string, error: unknown, failures: number): Promise<void> {
    if (error instanceof WaveGPTError) throw error;
    const asked = error instanceof Passing ? error.waitSeconds : null;
    if (failures >= this.#attempts || (asked ?? 0) > LONGEST_ASKED_SECONDS) {
      const wait = asked === null ? "" : `; it asks for ${Math.ceil(asked)} seconds of patience`;
      throw new WaveGPTError(
        "ERR_WAVEGPT_HUB",
        `${address} could not be read in ${failures} tries: ${reasonOf(error)}${wait}. HF_ENDPOINT names a mirror; --resume goes on later.`,
        { cause: error },
      );
    }
    const seconds =
      asked ?? Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (failures - 1));
    if (seconds >= 2) {
      this.#onNotice(`${reasonOf(error)}: going on in ${Math.ceil(seconds)} s (${address}).`);
    }
    await sleep(seconds * 1000);
  }

  #agentFor(url: string): Dispatcher {
    const proxy = proxyFor(url);
    const key = proxy ?? "direct";
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const connect = { timeout: 10_000 };
      agent = proxy === null ? new Agent({ connect }) : new ProxyAgent({ uri: proxy, connect });
      this.#agents.set(key, agent);
    }
    return agent;
  }
}
