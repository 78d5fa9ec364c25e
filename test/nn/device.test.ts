// @module-tag gpu

import path from "node:path";
import { expect, it } from "vitest";
import { nn, optim, safetensors, type Tensor, torch } from "../../lib/index.js";
import { describeOnDevice, device, deviceType, float32Tolerance } from "../device.js";
import { inTemporaryFolder } from "./pytorch.js";

/** Trains on a device from one seed; returns the losses, the model and its optimizer. */
function train(on: string): { losses: number[]; model: nn.Sequential; optimizer: optim.AdamW } {
  torch.manualSeed(8);
  const model = new nn.Sequential(
    new nn.Embedding(7, 12),
    new nn.LayerNorm(12),
    new nn.Linear(12, 24),
    new nn.GELU(),
    new nn.RMSNorm(24),
    new nn.Linear(24, 7),
  ).to(on);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01, amsgrad: true });
  const x = torch.randint(7, [32]).to(on);
  const losses: number[] = [];
  for (let step = 0; step < 5; step++) {
    using _scope = torch.scope();
    const loss = nn.functional.crossEntropy(model.forward(x), x);
    optimizer.zeroGrad();
    loss.backward();
    nn.clipGradNorm_(model.parameters(), 1);
    optimizer.step();
    losses.push(loss.number());
  }
  return { losses, model, optimizer };
}

describeOnDevice("modules and optimizers", () => {
  it("train as on the CPU, with parameters and state on the device", () => {
    const there = train(device);
    const here = train("cpu");
    for (const [step, loss] of here.losses.entries()) {
      expect(Math.abs(loss - (there.losses[step] as number))).toBeLessThanOrEqual(float32Tolerance);
    }
    expect(here.losses[4]).toBeLessThan(here.losses[0] as number);
    const owned: Tensor[] = [
      ...there.model.parameters(),
      ...Object.values(there.optimizer.stateTensors().tensors),
    ];
    expect(new Set(owned.map((tensor) => tensor.device.split(":")[0]))).toEqual(
      new Set([deviceType]),
    );
  });

  it("go through a file to and from the device", () => {
    const { model, optimizer } = train(device);
    const { tensors, config } = optimizer.stateTensors();
    inTemporaryFolder((folder) => {
      const file = path.join(folder, "m.safetensors");
      safetensors.save(file, { ...model.stateDict(), ...tensors });
      const loaded = safetensors.load(file, { device });
      for (const [name, tensor] of Object.entries({ ...model.stateDict(), ...tensors })) {
        expect([name, loaded[name]?.device, torch.equal(loaded[name] as Tensor, tensor)]).toEqual([
          name,
          tensor.device,
          true,
        ]);
      }
      // Loaded on the CPU, the state finds its way back to the parameters.
      const state = Object.fromEntries(
        Object.entries(safetensors.load(file)).filter(([name]) => name.startsWith("state.")),
      );
      const other = new optim.AdamW(model.parameters());
      other.loadStateTensors(state, config);
      expect(other.stateDict().state[0]?.step?.device).toBe(model.parameters()[0]?.device);
      expect(other.paramGroups[0]?.amsgrad).toBe(true);
    });
  });
});
