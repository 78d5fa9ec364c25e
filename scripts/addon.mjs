/** The addon's files, as the build, the package and their checks name them. */

/** This machine's platform, as folders of prebuilds and packages name it. */
export const target = `${process.platform}-${process.arch}`;

const EXTENSIONS = { win32: "dll", darwin: "dylib" };

/** What node-gyp-build finds; the others lie beside it. */
export const loaderFile = "wavegpt.node";

/** The files of the addon, `wavegpt_cuda` among them where asked for. */
export function addonFiles({ cuda = false, platform = process.platform } = {}) {
  const extension = EXTENSIONS[platform] ?? "so";
  const libraries = ["wavegpt_torch", "wavegpt_tokenizer", ...(cuda ? ["wavegpt_cuda"] : [])];
  return [loaderFile, ...libraries.map((library) => `${library}.${extension}`)];
}
