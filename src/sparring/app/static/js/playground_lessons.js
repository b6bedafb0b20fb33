// Games worth looking at, with what to look for. Each was played; what is said of it is what was seen with seed 0.

/** What the page begins with: the defaults of the game. */
export const BASE = {
  data: "ring", seed: 0, objective: "relativistic", play: "D:1,G:1", penalty: "r1+r2", gamma: 0.05, slope: 0.1, lr: 2e-3,
  d_lr: 2e-3,
};

const bare = { objective: "nonsaturating", penalty: "none" };

export const LESSONS = [
  {
    name: "A game that ends well",
    text: "Relativistic, with R1 + R2. The dots find the eight modes one by one; what the players pay goes to the dashed line, where D can only guess.",
    settings: {},
  },
  {
    name: "A collapse that heals",
    text: "Play until all modes are found, then press Collapse. For some hundred rounds the heap moves as one; then it breaks, and the modes come back.",
    settings: {},
  },
  {
    name: "A collapse that stays",
    text: "Non-saturating and without a penalty. Some modes are lost already; press Collapse, and G stays where it was put.",
    settings: bare,
  },
  {
    name: "Against a D that stands still",
    text: "Only D moves: it comes to its best answer to this G. After a hundred rounds choose “G alone”: all points run to the one place that D likes best. That is how modes collapse.",
    settings: { play: "D:1" },
  },
  {
    name: "D wins",
    text: "The minimax game of 2014 without a penalty. D is soon right every time, its slope where G’s points lie is gone, and nothing draws them any longer.",
    settings: { objective: "minimax", penalty: "none" },
  },
  {
    name: "25 modes",
    text: "The grid, with a lighter penalty and a faster D. All modes are reached, some of them rarely.",
    settings: { data: "grid", gamma: 0.01, lr: 1e-3 },
  },
  {
    name: "25 modes, and most of them lost",
    text: "The grid in the non-saturating game without a penalty: G settles on some of the modes and never finds the others.",
    settings: { ...bare, data: "grid" },
  },
  {
    name: "A critic instead of a judge",
    text: "Wasserstein with its gradient penalty, D five times a round. What D says is no probability: only the gap of the two lines counts.",
    settings: { objective: "wasserstein", penalty: "gp", play: "D:5,G:1" },
  },
  {
    name: "A spiral",
    text: "No modes to count here: the dots lie down along a curve (hinge).",
    settings: { data: "swissroll", objective: "hinge" },
  },
];
