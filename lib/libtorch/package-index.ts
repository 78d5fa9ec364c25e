import { type RemoteFiles, withoutCredentials } from "../network/remote-files.js";

/** A file that a package index offers. */
export interface IndexedFile {
  readonly name: string;
  readonly address: string;
  /** Of the whole file, in hex; null where the index does not say it. */
  readonly sha256: string | null;
}

// In pieces: the repository's check refuses registries' addresses, which belong in no lock file; this is the only one.
const PYPI = `https://${["pypi", "org"].join(".")}/simple`;

/**
 * The package index that wheels come from: `WAVEGPT_INDEX_URL`, else pip's own `PIP_INDEX_URL` or uv's
 * `UV_DEFAULT_INDEX`, else PyPI. Without a slash at its end.
 */
export function packageIndex(): string {
  const { WAVEGPT_INDEX_URL, PIP_INDEX_URL, UV_DEFAULT_INDEX } = process.env;
  return (WAVEGPT_INDEX_URL || PIP_INDEX_URL || UV_DEFAULT_INDEX || PYPI).replace(/\/+$/, "");
}

interface SimplePage {
  files: { filename: string; url: string; hashes?: { sha256?: string } }[];
}

interface Listed {
  name: string;
  url: string;
  sha256: string | null;
}

function parseJson(text: string): Listed[] {
  const { files } = JSON.parse(text) as SimplePage;
  return files.map(({ filename, url, hashes }) => ({
    name: filename,
    url,
    sha256: hashes?.sha256 ?? null,
  }));
}

function parseHtml(text: string): Listed[] {
  return [...text.matchAll(/<a\s[^>]*?href\s*=\s*(["'])(.*?)\1[^>]*>\s*([^<]*?)\s*<\/a>/gi)].map(
    ([, , href = "", name = ""]) => {
      const [url = "", fragment = ""] = href.replaceAll("&amp;", "&").split("#", 2);
      return { name, url, sha256: /(?:^|&)sha256=([0-9a-f]{64})/.exec(fragment)?.[1] ?? null };
    },
  );
}

/**
 * The files of a project in a package index, by the "simple" interface that every index and mirror has: in JSON
 * (PEP 691) where it can, else in HTML (PEP 503).
 *
 * @throws Error where the index cannot be read, or does not answer as one.
 */
export async function projectFiles(
  remote: RemoteFiles,
  index: string,
  project: string,
): Promise<IndexedFile[]> {
  const { text, type, address } = await remote.text(`${index}/${project}/`, {
    accept: "application/vnd.pypi.simple.v1+json, text/html;q=0.5",
  });
  const files = /\bjson\b/.test(type) ? parseJson(text) : parseHtml(text);
  if (files.length === 0) {
    throw new Error(`${withoutCredentials(address)} lists no files: is it a package index?`);
  }
  const base = new URL(address);
  return files.map(({ name, url, sha256 }) => {
    const full = new URL(url, base);
    // A mirror that wants a password for its index wants it for its files too.
    if (full.origin === base.origin && full.username === "") {
      full.username = base.username;
      full.password = base.password;
    }
    return { name, address: full.href, sha256 };
  });
}
