// Games worth looking at, with what to look for.

const BASE = {
  data: "ring", seed: 0, objective: "relativistic", play: "D:1,G:1", penalty: "r1+r2", gamma: 0.05, slope: 0.1,
  lr: 2e-3, d_lr: 2e-3,
};

export const LESSONS = [
  { name: "A game that ends well", text: "Relativistic, with R1 + R2. The dots find the eight modes, then D can only guess.", settings: {} },
  { name: "Put in a collapse", text: "Play until the modes are found, then press Collapse: D sees the heap, and the arrows pull it apart.", settings: { data: "ring" } },
];

export { BASE };
