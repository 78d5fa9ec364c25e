import { type nn, torch } from "../../lib/index.js";
import type { GPTConfig } from "./config.js";

/**
 * The reference keeps a causal mask in every block's state. Its side is that of the default block
 * size, whatever block size the model is given, and its attention never reads it.
 */
const REFERENCE_MASK_SIZE = 64;
const MASK = /^decoders\.(\d+)\.mask$/;

/** Loads weights by the reference's names, which are this model's own but for the masks. */
export function loadReferenceState(
  model: nn.Module,
  config: GPTConfig,
  stateDict: nn.StateDict,
): void {
  const weights = Object.entries(stateDict).filter(([name]) => {
    const block = MASK.exec(name)?.[1];
    return block === undefined || Number(block) >= config.nLayers;
  });
  model.loadStateDict(Object.fromEntries(weights));
}

/** The inverse of {@link loadReferenceState}: what the reference's `load_state_dict` takes. */
export function exportReferenceState(model: nn.Module, config: GPTConfig): nn.StateDict {
  const stateDict = model.stateDict();
  const mask = torch.ones([REFERENCE_MASK_SIZE, REFERENCE_MASK_SIZE]).tril();
  for (let block = 0; block < config.nLayers; block++) {
    stateDict[`decoders.${block}.mask`] = mask.clone();
  }
  return stateDict;
}
