const NAMES = [
  ...["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"],
  ...["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "PIP_INDEX_URL"],
];

/** What of the environment says how this machine reaches package registries. */
export function networkEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    [...NAMES, ...NAMES.map((name) => name.toLowerCase())]
      .filter((name) => process.env[name] !== undefined)
      .map((name) => [name, process.env[name]]),
  );
}
