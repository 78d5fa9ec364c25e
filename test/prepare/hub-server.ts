import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one request instead of an answer. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** The connection ends after so many bytes. */
  | { readonly cutAfter: number };

export interface HubFile {
  readonly content: Buffer;
  /** What the tree says that it hashes to, where that is not true. */
  readonly sha256?: string;
}

export interface HubRequest {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Bytes that were sent of a file. */
  sent: number;
}

const PAGE = 2;

/**
 * Datasets on a loopback address in the layout and with the API of the Hugging Face hub: revisions, trees in pages,
 * files that are stored elsewhere (a redirect to an address that is signed for a while) and sent by range.
 */
export class TestHub implements AsyncDisposable {
  /** Files by `owner/name@revision`. */
  readonly datasets = new Map<string, Map<string, HubFile>>();
  readonly requests: HubRequest[] = [];
  /** The token that is asked for, or null. */
  token: string | null = null;
  /** Asked before each request is answered. */
  fault: (request: HubRequest) => Fault | null = () => null;
  /** Milliseconds before each piece of a file is sent. */
  delay = 0;

  private constructor(private readonly server: Server) {
    server.on("request", (request, response) => {
      this.#answer(request, response).catch((error) => response.destroy(error));
    });
  }

  static async start(): Promise<TestHub> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TestHub(server);
  }

  get address(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The store has another origin than the hub, as it has at Hugging Face: no token may be sent to it. */
  get #store(): string {
    return this.address.replace("127.0.0.1", "localhost");
  }

  add(dataset: string, files: Readonly<Record<string, Buffer | HubFile>>, revision = "main"): void {
    this.datasets.set(
      `${dataset}@${revision}`,
      new Map(
        Object.entries(files).map(([path, file]) => [
          path,
          Buffer.isBuffer(file) ? { content: file } : file,
        ]),
      ),
    );
  }

  commit(dataset: string, revision = "main"): string {
    return createHash("sha1").update(`${dataset}@${revision}`).digest("hex");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  #files(dataset: string, revision: string): Map<string, HubFile> | null {
    for (const [key, files] of this.datasets) {
      const [name, branch] = key.split("@") as [string, string];
      if (name === dataset && [branch, this.commit(name, branch)].includes(revision)) return files;
    }
    return null;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.address);
    const seen: HubRequest = {
      path: `${url.pathname}${url.search}`,
      range: request.headers.range,
      authorization: request.headers.authorization,
      sent: 0,
    };
    this.requests.push(seen);
    const fault = this.fault(seen);
    if (fault !== null && "status" in fault) {
      response.writeHead(fault.status, fault.headers).end(fault.body ?? "");
      return;
    }
    const [, kind, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    if (kind === "store") {
      await this.#send(seen, response, rest, fault?.cutAfter ?? Number.POSITIVE_INFINITY);
      return;
    }
    if (this.token !== null && seen.authorization !== `Bearer ${this.token}`) {
      response
        .writeHead(401, { "x-error-message": "Invalid credentials in Authorization header" })
        .end('{"error":"Invalid credentials in Authorization header"}');
      return;
    }
    if (kind === "api") this.#api(response, rest, url);
    else this.#resolve(response, rest);
  }

  #api(response: ServerResponse, [, owner, name, what, revision]: string[], url: URL): void {
    const dataset = `${owner}/${name}`;
    const files = this.#files(dataset, revision ?? "");
    if (files === null) {
      response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end('{"error":"Not found"}');
      return;
    }
    const json = (value: unknown, headers = {}) =>
      response
        .writeHead(200, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(value));
    if (what === "revision") {
      const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
      const branch = [...this.datasets.keys()]
        .map((key) => key.split("@") as [string, string])
        .find(([key, one]) => key === dataset && [one, this.commit(key, one)].includes(revision!))!;
      json({ id: dataset, sha: this.commit(dataset, branch[1]), siblings });
      return;
    }
    const at = Number(url.searchParams.get("cursor") ?? 0);
    const entries = [...files].map(([path, { content, sha256 }]) => ({
      type: "file",
      oid: createHash("sha1").update(content).digest("hex"),
      size: content.length,
      path,
      ...(path.endsWith(".md")
        ? {}
        : {
            lfs: {
              oid: sha256 ?? createHash("sha256").update(content).digest("hex"),
              size: content.length,
            },
          }),
    }));
    const next = new URL(url);
    next.searchParams.set("cursor", String(at + PAGE));
    const link = at + PAGE < entries.length ? { link: `<${next.href}>; rel="next"` } : {};
    json(
      [{ type: "directory", oid: "0", size: 0, path: "data" }, ...entries.slice(at, at + PAGE)],
      link,
    );
  }

  #resolve(response: ServerResponse, [owner, name, , revision, ...path]: string[]): void {
    const file = this.#files(`${owner}/${name}`, revision!)?.get(path.join("/"));
    if (file === undefined) {
      response.writeHead(404).end("Entry not found");
      return;
    }
    const sha256 = file.sha256 ?? createHash("sha256").update(file.content).digest("hex");
    const signed = `${this.#store}/store/${owner}/${name}/${revision}/${path.join("/")}?signature=${this.requests.length}`;
    response
      .writeHead(302, {
        location: signed,
        "x-repo-commit": revision!,
        "x-linked-etag": `"${sha256}"`,
        "x-linked-size": String(file.content.length),
      })
      .end();
  }

  async #send(
    seen: HubRequest,
    response: ServerResponse,
    [owner, name, revision, ...path]: string[],
    cutAfter: number,
  ): Promise<void> {
    const { content } = this.#files(`${owner}/${name}`, revision!)!.get(path.join("/"))!;
    const [, from = "0", to = String(content.length - 1)] =
      /^bytes=(\d+)-(\d+)$/.exec(seen.range ?? "") ?? [];
    const part = content.subarray(Number(from), Number(to) + 1);
    response.writeHead(seen.range === undefined ? 200 : 206, {
      "content-length": part.length,
      ...(seen.range === undefined
        ? {}
        : { "content-range": `bytes ${from}-${to}/${content.length}` }),
    });
    for (let at = 0; at < part.length; at += 1 << 16) {
      if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
      const chunk = part.subarray(at, Math.min(at + (1 << 16), cutAfter));
      response.write(chunk);
      seen.sent += chunk.length;
      if (at + (1 << 16) >= cutAfter) {
        setTimeout(() => response.destroy(), 20);
        return;
      }
    }
    response.end();
  }
}
