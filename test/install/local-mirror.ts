import { createServer, type Server } from "node:http";
import { packageIndex, projectFiles } from "../../lib/libtorch/package-index.js";
import { RemoteFiles } from "../../lib/network/remote-files.js";

/**
 * A mirror on loopback of the package index that this machine uses, which passes ranges of files on, and can be told to
 * turn a bit of each that is longer than 5 MB.
 */
export class LocalMirror {
  /** Whether what goes through is spoilt. */
  spoils = false;
  /** Bytes of files that went through. */
  passed = 0;
  readonly #remote = new RemoteFiles();
  readonly #server: Server;
  readonly #addresses = new Map<string, string>();

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request.url ?? "/", request.headers.range).then(
        (answer) => response.writeHead(answer.status, answer.headers).end(answer.body),
        (error: Error) => response.writeHead(502).end(error.message),
      );
    });
  }

  start(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => {
        const { port } = this.#server.address() as { port: number };
        resolve(`http://127.0.0.1:${port}/simple`);
      });
    });
  }

  async stop(): Promise<void> {
    this.#server.close();
    await this.#remote.close();
  }

  async #answer(url: string, range: string | undefined) {
    const project = /^\/simple\/([^/]+)\/$/.exec(url)?.[1];
    if (project !== undefined) {
      const files = await projectFiles(this.#remote, packageIndex(), project);
      const listed = files.map(({ name, address, sha256 }) => {
        this.#addresses.set(`/files/${name}`, address);
        return { filename: name, url: `/files/${name}`, hashes: { sha256 } };
      });
      const headers = { "content-type": "application/vnd.pypi.simple.v1+json" };
      return { status: 200, headers, body: JSON.stringify({ files: listed }) };
    }
    const address = this.#addresses.get(decodeURI(url));
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    if (address === undefined || from === undefined || to === undefined) {
      return { status: 404, headers: {}, body: "" };
    }
    const bytes = await this.#remote.buffer(address, Number(from), Number(to) + 1);
    this.passed += bytes.length;
    if (this.spoils && bytes.length > 5_000_000) bytes[bytes.length >> 1]! ^= 1;
    return { status: 206, headers: {}, body: bytes };
  }
}
