/** Whether paths match a pattern: `*` and `?` within a folder's name, `**` any folders, `[abc]`, `{a,b}`. */
export function matcher(pattern: string): (path: string) => boolean {
  let source = "";
  let depth = 0;
  const text = pattern.replace(/^\.\//, "");
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (text.startsWith("**/", at)) {
      source += "(?:.*/)?";
      at += 2;
    } else if (text.startsWith("**", at)) {
      source += ".*";
      at += 1;
    } else if (character === "*") source += "[^/]*";
    else if (character === "?") source += "[^/]";
    else if (character === "[" && text.indexOf("]", at + 2) > 0) {
      const end = text.indexOf("]", at + 2);
      source += `[${text
        .slice(at + 1, end)
        .replace(/^!/, "^")
        .replaceAll("\\", "\\\\")}]`;
      at = end;
    } else if (character === "{") {
      source += "(?:";
      depth++;
    } else if (character === "}" && depth > 0) {
      source += ")";
      depth--;
    } else if (character === "," && depth > 0) source += "|";
    else source += character.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  }
  const expression = new RegExp(`^${source}${")".repeat(depth)}$`, "u");
  return (path) => expression.test(path.replace(/^\.\//, ""));
}
