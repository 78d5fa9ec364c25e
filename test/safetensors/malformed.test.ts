import { beforeAll, describe, expect, it } from "vitest";
import { safetensors, torch, WaveGPTError } from "../../lib/index.js";
import { python } from "../python.js";

function file(
  header: string | Uint8Array,
  data: Uint8Array | number = 0,
  length?: bigint,
): Uint8Array {
  const json = typeof header === "string" ? Buffer.from(header) : header;
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([prefix, json, typeof data === "number" ? new Uint8Array(data) : data]);
}

function tensor(dtype: string, shape: string, offsets: string): string {
  return `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
}

const ONE = tensor("F32", "[1]", "[0,4]");

/** A file, what is said of it, and whether Python's package takes it. */
const MALFORMED: readonly [string, Uint8Array, string, boolean?][] = [
  ["nothing", new Uint8Array(), "it has 0 bytes"],
  [
    "less than a length",
    new Uint8Array(7),
    "it has 7 bytes, and the header's length alone takes 8",
  ],
  ["a length of 0", file("", 0), 'claims 0 bytes; the shortest header, "{}", has 2'],
  ["a length of 1", file("{", 0), "claims 1 bytes"],
  ["a length beyond the file", file("{}", 0, 3n), "claims 3 bytes, but only 2 follow"],
  ["a length beyond all bounds", file("{}", 0, 100_000_001n), "at most 100000000 are allowed"],
  ["a length of 2^64 - 1", file("{}", 0, 2n ** 64n - 1n), "claims 18446744073709551615 bytes"],
  ["bytes that are not UTF-8", file(Uint8Array.from([0x7b, 0x22, 0xff, 0x22])), "not UTF-8"],
  ["no JSON", file("{]"), "not JSON"],
  ["a header cut off", file('{"a":{"dtype":"F32"'), "not JSON"],
  ["a byte order mark", file("\ufeff{}"), "not JSON"],
  ["a list", file("[]"), "its header is []; an object was expected"],
  ["null", file("null"), "its header is null"],
  ["a tensor that is no object", file('{"a":3}'), 'tensor "a" is 3; an object was expected'],
  [
    "a tensor without dtype",
    file('{"a":{"shape":[],"data_offsets":[0,0]}}'),
    "has nothing as dtype",
  ],
  [
    "a dtype that is no string",
    file('{"a":{"dtype":4,"shape":[],"data_offsets":[0,0]}}'),
    "has 4 as dtype",
  ],
  ["an unknown dtype", file(`{"a":${tensor("F33", "[1]", "[0,4]")}}`, 4), 'unknown dtype "F33"'],
  [
    "a dtype of inherited name",
    file(`{"a":${tensor("constructor", "[1]", "[0,4]")}}`, 4),
    "unknown dtype",
  ],
  [
    "a tensor without shape",
    file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4),
    "has nothing as shape",
  ],
  [
    "a negative size",
    file(`{"a":${tensor("F32", "[-1]", "[0,4]")}}`, 4),
    "has -1 where a non-negative integer",
  ],
  ["a size in quotes", file(`{"a":${tensor("F32", '["1"]', "[0,4]")}}`, 4), 'has ["1"] as shape'],
  [
    "a size with a point",
    file(`{"a":${tensor("F32", "[1.0]", "[0,4]")}}`, 4),
    "has 1.0 where a non-negative integer",
  ],
  [
    "a size with a power",
    file(`{"a":${tensor("F32", "[1e0]", "[0,4]")}}`, 4),
    "has 1e0 where a non-negative integer",
  ],
  [
    "a size beyond 2^53",
    file(`{"a":${tensor("F32", "[9007199254740993]", "[0,4]")}}`, 4),
    "as shape",
  ],
  [
    "sizes whose product overflows",
    file(`{"a":${tensor("F32", "[4294967296,4294967296,4294967296]", "[0,4]")}}`, 4),
    "more elements than can be counted",
  ],
  [
    "sizes whose product overflows before a 0",
    file(`{"a":${tensor("F32", "[4294967296,4294967296,4294967296,0]", "[0,0]")}}`, 0),
    "more elements than can be counted",
  ],
  ["no offsets", file('{"a":{"dtype":"F32","shape":[1]}}', 4), "has nothing as data_offsets"],
  ["one offset", file(`{"a":${tensor("F32", "[1]", "[0]")}}`, 4), "has [0] as data_offsets"],
  ["three offsets", file(`{"a":${tensor("F32", "[1]", "[0,4,4]")}}`, 4), "as data_offsets"],
  [
    "offsets in reverse",
    file(`{"a":${tensor("F32", "[1]", "[4,0]")}}`, 4),
    "ends at byte 0, before it begins at 4",
  ],
  [
    "offsets that span too little",
    file(`{"a":${tensor("F32", "[2]", "[0,4]")}}`, 4),
    "needs 8 bytes, but its offsets span 4",
  ],
  [
    "offsets that span too much",
    file(`{"a":${tensor("U8", "[2]", "[0,4]")}}`, 4),
    "needs 2 bytes, but its offsets span 4",
  ],
  ["data cut off", file(`{"a":${ONE}}`, 3), "ends at byte 4 of the data, which has 3"],
  ["data left over", file(`{"a":${ONE}}`, 5), "take 4 bytes of data, but 5 follow"],
  ["data without tensors", file("{}", 1), "take 0 bytes of data, but 1 follow"],
  [
    "a hole at the start",
    file(`{"a":${tensor("F32", "[1]", "[4,8]")}}`, 8),
    'between the header and "a", belong to no tensor',
  ],
  [
    "a hole",
    file(`{"a":${ONE},"b":${tensor("F32", "[1]", "[8,12]")}}`, 12),
    'bytes 4 to 8 of the data, between "a" and "b"',
  ],
  [
    "an overlap",
    file(`{"a":${tensor("F32", "[2]", "[0,8]")},"b":${tensor("F32", "[2]", "[4,12]")}}`, 12),
    '"b" begins at byte 4 of the data and overlaps "a", which ends at 8',
  ],
  ["two tensors in one place", file(`{"a":${ONE},"b":${ONE}}`, 4), "overlaps"],
  ["metadata that is no object", file('{"__metadata__":[]}'), "__metadata__ is []"],
  [
    "metadata that is no string",
    file('{"__metadata__":{"a":null}}'),
    '__metadata__ has null for "a"',
  ],
  // Its readers take the last of two; the format's description forbids them.
  ["a name twice", file(`{"a":${ONE},"a":${ONE}}`, 4), 'has the key "a" twice', true],
  [
    "a name twice, escaped",
    file(`{"a":${ONE},"\\u0061":${ONE}}`, 4),
    'has the key "a" twice',
    true,
  ],
  [
    "a metadata key twice",
    file('{"__metadata__":{"k":"1","k":"2"}}'),
    'has the key "k" twice',
    true,
  ],
  [
    "a field twice",
    file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    'has the key "dtype" twice',
  ],
];

/** What looks odd but is well-formed. */
const WELL_FORMED: readonly [string, Uint8Array, readonly string[]][] = [
  ["padding", file("{}   \n\t "), []],
  ["space inside", file(` { "a" : ${ONE} } `, 4), ["a"]],
  ["null metadata", file('{"__metadata__":null}'), []],
  [
    "unknown fields",
    file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4),
    ["a"],
  ],
  [
    "names as of other keys",
    file(`{"dtype":${ONE},"shape":${tensor("U8", "[1]", "[4,5]")}}`, 5),
    ["dtype", "shape"],
  ],
  ["braces, quotes and commas in names", file(`{"{\\"a\\",[1.5,":${ONE}}`, 4), ['{"a",[1.5,']],
  [
    "empty tensors anywhere",
    file(
      `{"a":${tensor("F32", "[0]", "[4,4]")},"b":${ONE},"c":${tensor("I8", "[2,0]", "[0,0]")}}`,
      4,
    ),
    ["c", "b", "a"],
  ],
];

/** Python's package: "ok" or why it refuses each file. */
let theirs: string[];

beforeAll(() => {
  const files = [...MALFORMED.map(([, bytes]) => bytes), ...WELL_FORMED.map(([, bytes]) => bytes)];
  theirs = JSON.parse(
    python(
      `
import base64, json, sys
from safetensors.torch import load
out = []
for b in json.loads(sys.argv[1]):
    try: load(base64.b64decode(b)); out.append("ok")
    except Exception as e: out.append(str(e))
print(json.dumps(out))`,
      JSON.stringify(files.map((bytes) => Buffer.from(bytes).toString("base64"))),
    ),
  );
});

describe("malformed files are refused with what is wrong, as Python's package refuses them", () => {
  it.each(
    MALFORMED.map(([name, bytes, message, accepted = false], index) => ({
      name,
      bytes,
      message,
      accepted,
      index,
    })),
  )("$name", ({ bytes, message, accepted, index }) => {
    const before = torch.memory().handles;
    let error: unknown;
    try {
      safetensors.deserialize(bytes);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(WaveGPTError);
    expect((error as WaveGPTError).code).toBe("ERR_WAVEGPT_SAFETENSORS");
    expect((error as WaveGPTError).message).toContain(message);
    expect(torch.memory().handles).toBe(before);
    expect(theirs[index] === "ok").toBe(accepted);
  });

  it.each(WELL_FORMED.map(([name, bytes, names], index) => [name, bytes, names, index] as const))(
    "but not for %s",
    (_name, bytes, names, index) => {
      expect(Object.keys(safetensors.deserialize(bytes).tensors)).toEqual(names);
      expect(theirs[MALFORMED.length + index]).toBe("ok");
    },
  );
});

describe("fuzzing", () => {
  it("ends in tensors or in a WaveGPTError, never in anything else", () => {
    const valid = safetensors.serialize(
      {
        "layer.weight": torch.arange(6, { dtype: "float32" }).view(2, 3),
        "layer.bias": torch.arange(3, { dtype: "bfloat16" }),
        flag: torch.tensor(true),
        empty: torch.empty([0, 2]),
      },
      { format: "pt", note: 'a"b\\c' },
    );
    // A generator of its own, so that a failure can be repeated.
    let state = 20_260_101;
    const next = (limit: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const headerEnd =
      8 + Number(new DataView(valid.buffer, valid.byteOffset).getBigUint64(0, true));
    const alphabet = Buffer.from('{}[]",:0123456789-.eE\\ntrufalsF32BOOL \u00e9');
    const outcomes = { read: 0, refused: 0 };
    for (let round = 0; round < 20_000; round++) {
      let bytes = Uint8Array.from(valid);
      for (let change = next(3); change >= 0; change--) {
        const at = next(headerEnd);
        const kind = next(6);
        if (kind === 0) {
          bytes[at] = next(256);
        } else if (kind === 1) {
          bytes[at] = alphabet[next(alphabet.length)] as number;
        } else if (kind === 2) {
          bytes = bytes.slice(0, next(bytes.length));
        } else if (kind === 3) {
          bytes = Uint8Array.from([...bytes, ...new Uint8Array(next(9))]);
        } else if (kind === 4) {
          bytes[next(8)] = next(256);
        } else {
          const length = next(12);
          bytes.copyWithin(at, next(headerEnd), next(headerEnd) + length);
        }
      }
      using _scope = torch.scope();
      try {
        const { tensors } = safetensors.deserialize(bytes);
        for (const tensor of Object.values(tensors)) {
          expect(tensor.nbytes).toBeLessThanOrEqual(bytes.length);
        }
        outcomes.read += 1;
      } catch (error) {
        if (!(error instanceof WaveGPTError) || error.code !== "ERR_WAVEGPT_SAFETENSORS") {
          throw new Error(`Round ${round}: ${Buffer.from(bytes).toString("latin1")}`, {
            cause: error,
          });
        }
        outcomes.refused += 1;
      }
    }
    // Both must happen, or the fuzzer tests nothing.
    expect(outcomes.read).toBeGreaterThan(100);
    expect(outcomes.refused).toBeGreaterThan(1000);
  });
});
