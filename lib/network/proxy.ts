/** A variable in lower case, as curl reads it, or else in upper case. */
function variable(name: string): string | undefined {
  return process.env[name] || process.env[name.toUpperCase()] || undefined;
}

function isExempt(url: URL): boolean {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return (variable("no_proxy") ?? "")
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === "*") return true;
      const [, host = "", onlyPort] = /^(.+?)(?::(\d+))?$/.exec(entry) ?? [];
      if (onlyPort !== undefined && onlyPort !== port) return false;
      const domain = host.replace(/^\*?\./, "").toLowerCase();
      return url.hostname === domain || url.hostname.endsWith(`.${domain}`);
    });
}

/**
 * The proxy that the environment names for `address` (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, in lower case first;
 * `NO_PROXY` lists hosts and domains, with a port or not, that are reached directly), or null.
 */
export function proxyFor(address: string): string | null {
  const url = new URL(address);
  const proxy =
    variable(url.protocol === "https:" ? "https_proxy" : "http_proxy") ?? variable("all_proxy");
  if (proxy === undefined || isExempt(url)) return null;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}
