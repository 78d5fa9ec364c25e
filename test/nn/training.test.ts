import { describe, expect, it } from "vitest";
import { nn, optim, type Tensor, torch } from "../../lib/index.js";
import { expectClose, pytorch, under } from "./pytorch.js";

const [VOCABULARY, WIDTH, LENGTH, BATCH, STEPS] = [11, 16, 6, 4, 6];

/** AdamW rounds a tensor's last elements in another way than libtorch's; the other operators are libtorch's. */
const TOLERANCE = 1e-5;

/** A decoder of one block, with dropout, in both languages. */
class Decoder extends nn.Module {
  readonly emb = new nn.Embedding(VOCABULARY, WIDTH);
  readonly norm = new nn.LayerNorm(WIDTH);
  readonly mha = new nn.MultiheadAttention(WIDTH, 4, { dropout: 0.1, batchFirst: true });
  readonly mlp = new nn.Sequential(
    new nn.Linear(WIDTH, 32),
    new nn.GELU(),
    new nn.Linear(32, WIDTH),
    new nn.Dropout(0.1),
  );
  readonly head = new nn.Linear(WIDTH, VOCABULARY);

  forward(x: Tensor, mask: Tensor): Tensor {
    let h = this.emb.forward(x);
    const n = this.norm.forward(h);
    h = h.add(
      this.mha.forward(n, n, n, { attnMask: mask, isCausal: true, needWeights: false }).output,
    );
    h = h.add(this.mlp.forward(h));
    return this.head.forward(h);
  }
}

const PYTHON = `
class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(${VOCABULARY}, ${WIDTH})
        self.norm = nn.LayerNorm(${WIDTH})
        self.mha = nn.MultiheadAttention(${WIDTH}, 4, dropout=0.1, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(${WIDTH}, 32), nn.GELU(), nn.Linear(32, ${WIDTH}), nn.Dropout(0.1))
        self.head = nn.Linear(${WIDTH}, ${VOCABULARY})
    def forward(self, x, mask):
        h = self.emb(x)
        n = self.norm(h)
        h = h + self.mha(n, n, n, attn_mask=mask, is_causal=True, need_weights=False)[0]
        h = h + self.mlp(h)
        return self.head(h)
torch.manual_seed(42)
model = Decoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
mask = torch.ones(${LENGTH}, ${LENGTH}, dtype=torch.bool).triu(1)
for step in range(${STEPS}):
    x = torch.randint(0, ${VOCABULARY}, (${BATCH}, ${LENGTH}))
    y = torch.randint(0, ${VOCABULARY}, (${BATCH}, ${LENGTH}))
    loss = F.cross_entropy(model(x, mask).flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    keep(f"loss.{step}", loss)
    keep(f"norm.{step}", nn.utils.clip_grad_norm_(model.parameters(), 0.5))
    optimizer.step()
    schedule.step()
for k, v in model.state_dict().items(): keep("model." + k, v)
for k, v in optimizer.state_dict()["state"].items():
    for n, t in v.items(): keep(f"state.{k}.{n}", t)
`;

describe("training", () => {
  it("equals PyTorch's: losses, norms, weights and optimizer state, and leaks nothing", () => {
    const expected = pytorch(PYTHON);
    torch.manualSeed(42);
    using model = new Decoder();
    using optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
    const schedule = new optim.schedules.StepLR(optimizer, { stepSize: 2, gamma: 0.5 });
    const mask = torch.ones([LENGTH, LENGTH], { dtype: "bool" }).triu(1);
    const actual: Record<string, Tensor> = {};
    const handles: number[] = [];
    for (let step = 0; step < STEPS; step++) {
      {
        using _scope = torch.scope();
        const x = torch.randint(VOCABULARY, [BATCH, LENGTH]);
        const y = torch.randint(VOCABULARY, [BATCH, LENGTH]);
        const logits = model.forward(x, mask);
        const loss = nn.functional.crossEntropy(logits.flatten(0, 1), y.flatten());
        optimizer.zeroGrad();
        loss.backward();
        actual[`loss.${step}`] = torch.keep(loss.detach());
        actual[`norm.${step}`] = torch.keep(nn.clipGradNorm_(model.parameters(), 0.5));
        optimizer.step();
        schedule.step();
      }
      handles.push(torch.memory().handles);
    }
    expectClose(actual, expected, TOLERANCE);
    expectClose(model.stateDict(), under("model.", expected), TOLERANCE);
    const { tensors } = optimizer.stateTensors();
    expectClose(tensors, expected, TOLERANCE);
    expect(Object.keys(tensors)).toHaveLength(3 * model.parameters().length);
    // Each step keeps the two tensors this test keeps, and nothing else.
    expect(handles.slice(2).map((count, index) => count - (handles[index + 1] ?? 0))).toEqual([
      2, 2, 2, 2,
    ]);
  });
});
