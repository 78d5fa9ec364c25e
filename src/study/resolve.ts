import { checkSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { flopsPerToken } from "../model/flops.js";
import { buildModel } from "../training/setup.js";
import type { Arm, Study } from "./arms.js";
import { type Match, type Matched, matchGPT } from "./match.js";

/** An arm with all its settings, and what its model costs. */
export interface ResolvedArm {
  readonly arm: Arm;
  /** Complete but for the seed, which is a run's own. */
  readonly settings: Settings;
  readonly parameters: number;
  /** Operations a token in training, forward and backward. */
  readonly flops: number;
  /** How near it comes to what it is matched to; null where it is not. */
  readonly match: { readonly to: Matched; readonly deviation: number } | null;
}

/** Where an arm's model stands in the comparison's sizes. */
function weigh(settings: Settings, vocabSize: number) {
  using model = buildModel(settings, vocabSize, "cpu");
  return {
    config: model.config,
    parameters: model.numParameters(),
    flops: flopsPerToken(model.config).training,
  };
}

function settingsOf(arm: Arm, shared: Settings): Settings {
  return checkSettings({ ...shared, ...arm.settings(shared) });
}

/**
 * Fills in an arm's settings and finds the sizes of those that are matched to the study's subject.
 * @throws UsageError where an arm's settings make no model
 */
export function resolveArms(
  study: Study,
  arms: readonly Arm[],
  shared: Settings,
  vocabSize: number,
): ResolvedArm[] {
  const subject = study.arms.find((arm) => arm.id === study.subject)!;
  let wanted: ReturnType<typeof weigh> | null = null;
  const matchTo = (to: Matched, settings: Settings): Match => {
    wanted ??= weigh(settingsOf(subject, shared), vocabSize);
    return matchGPT(weigh(settings, vocabSize).config, to, wanted[to]);
  };
  return arms.map((arm) => {
    let settings = settingsOf(arm, shared);
    let match: ResolvedArm["match"] = null;
    if (arm.matched !== undefined) {
      const { nLayers, nEmbd, deviation } = matchTo(arm.matched, settings);
      settings = checkSettings({ ...settings, nLayers, nEmbd });
      match = { to: arm.matched, deviation };
    }
    const { parameters, flops } = weigh(settings, vocabSize);
    return { arm, settings, parameters, flops, match };
  });
}
