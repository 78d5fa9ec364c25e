import { setTimeout as sleep } from "node:timers/promises";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import { proxyFor } from "./proxy.js";
import { reasonOf } from "./reason.js";

/** What another try may mend. */
class Passing extends Error {}

const MAX_REDIRECTS = 8;
const CONNECT_TIMEOUT = 10_000;
const IDLE_TIMEOUT = 30_000;
const LONGEST_WAIT_SECONDS = 30;

/** Codes of an address that answers nothing: another try a second later ends no differently. */
const UNREACHABLE = new Set(["ENOTFOUND", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"]);

/** An address without the name and password that may stand in it. */
export function withoutCredentials(address: string): string {
  const url = new URL(address);
  url.username = "";
  url.password = "";
  return url.href;
}

function basicAuthorization({ username, password }: URL): Record<string, string> {
  if (username === "") return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

/**
 * Reads files and parts of files from HTTP servers, through the proxy that the environment names
 * ({@link proxyFor}). A transfer that is cut goes on where it ended.
 */
export class RemoteFiles {
  readonly #attempts: number;
  readonly #agents = new Map<string, Dispatcher>();

  /** @param options.attempts tries in a row without a byte gained before it gives up (default 5) */
  constructor({ attempts = 5 }: { readonly attempts?: number } = {}) {
    this.#attempts = attempts;
  }

  /**
   * A whole text, and the address that it came from at last.
   * @throws Error that names the address and the reason
   */
  async text(address: string, headers: Readonly<Record<string, string>> = {}) {
    for (let failures = 1; ; failures++) {
      try {
        const response = await this.#open(address, headers);
        return {
          text: await response.body.text(),
          type: response.type,
          address: response.address,
        };
      } catch (error) {
        await this.#recover(address, error, failures);
      }
    }
  }

  /**
   * Bytes of a file from `from` to before `to`, as they come.
   * @throws Error that names the address and the reason, also where the server sends no parts of files
   */
  async *bytes(address: string, from: number, to: number): AsyncGenerator<Buffer> {
    let at = from;
    let failures = 0;
    while (at < to) {
      try {
        const response = await this.#open(address, { range: `bytes=${at}-${to - 1}` });
        if (response.status !== 206) {
          await response.body.dump();
          throw new Error(
            `expected a server that sends parts of files (HTTP 206), got HTTP ${response.status}`,
          );
        }
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          at += chunk.length;
          failures = 0;
          if (at > to) throw new Error(`asked for ${to - from} bytes, got more`);
          yield chunk;
        }
        if (at < to) throw new Passing(`the transfer ended ${to - at} bytes early`);
      } catch (error) {
        failures++;
        await this.#recover(address, error, failures);
      }
    }
  }

  /** Bytes of a file from `from` to before `to`, in memory. */
  async buffer(address: string, from: number, to: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.bytes(address, from, to)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }

  async #open(address: string, headers: Readonly<Record<string, string>>) {
    let url = new URL(address);
    // Name and password are for the server that they were given for, and for none that it points to.
    const own = url;
    for (let redirects = 0; ; redirects++) {
      const response = await request(withoutCredentials(url.href), {
        dispatcher: this.#agentFor(url.href),
        headersTimeout: IDLE_TIMEOUT,
        bodyTimeout: IDLE_TIMEOUT,
        headers: {
          "accept-encoding": "identity",
          "user-agent": "wavegpt",
          ...headers,
          ...(url.origin === own.origin ? basicAuthorization(own) : {}),
        },
      });
      const { statusCode: status, body } = response;
      const location = response.headers.location;
      if (status >= 300 && status < 400 && typeof location === "string") {
        await body.dump();
        if (redirects === MAX_REDIRECTS) throw new Error(`more than ${MAX_REDIRECTS} redirects`);
        url = new URL(location, url);
        continue;
      }
      if (status >= 400) {
        await body.dump();
        const message = `the server answered HTTP ${status}`;
        throw status === 408 || status === 429 || status >= 500
          ? new Passing(message)
          : new Error(message);
      }
      const type = response.headers["content-type"];
      return { status, body, type: typeof type === "string" ? type : "", address: url.href };
    }
  }

  /** Waits before the next try. @throws where there is to be none */
  async #recover(address: string, error: unknown, failures: number): Promise<void> {
    const { code } = error as NodeJS.ErrnoException;
    const passing = error instanceof Passing || (code !== undefined && !UNREACHABLE.has(code));
    if (!passing || failures >= this.#attempts) {
      const tries = failures > 1 ? ` in ${failures} tries` : "";
      const proxy = proxyFor(address);
      const through = proxy === null ? "" : ` through the proxy ${withoutCredentials(proxy)}`;
      throw new Error(
        `${withoutCredentials(address)} could not be read${through}${tries}: ${reasonOf(error)}`,
        { cause: error },
      );
    }
    await sleep(1000 * Math.min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** (failures - 1)));
  }

  #agentFor(url: string): Dispatcher {
    const proxy = proxyFor(url);
    const key = proxy ?? "direct";
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const connect = { timeout: CONNECT_TIMEOUT };
      agent = proxy === null ? new Agent({ connect }) : new ProxyAgent({ uri: proxy, connect });
      this.#agents.set(key, agent);
    }
    return agent;
  }
}
