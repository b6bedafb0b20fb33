// What the study says to people, for each of its forms.

/** Keys of the first and of the second answer, as `KeyboardEvent.key` in small letters. */
export const KEYS = [["f", "arrowleft"], ["j", "arrowright"]];

const beside = [
  { value: "left", label: "Left", key: "F", other: "←" },
  { value: "right", label: "Right", key: "J", other: "→" },
];

export const WORDS = {
  paired: {
    choices: beside,
    truth: { left: "The real one was on the left.", right: "The real one was on the right." },
  },
  single: {
    choices: [
      { value: "real", label: "Real", key: "F", other: "←" },
      { value: "fake", label: "Fake", key: "J", other: "→" },
    ],
    truth: { real: "It is real.", fake: "A computer made it." },
  },
  preference: {
    choices: beside,
    truth: {},
  },
};

const count = (many, one, more = `${one}s`) => `${many} ${many === 1 ? one : more}`;

export function lead(study) {
  const many = study.total;
  if (study.protocol === "single") return `You will see ${count(many, "picture")}, one at a time. Some are real, some were made by a computer. Which is which?`;
  if (study.protocol === "preference") return `You will see ${count(many, "pair")} of pictures. Say which one is better. There is no wrong answer.`;
  return `You will see ${count(many, "pair")} of pictures. In each pair one picture is real and the other was made by a computer. Which one is real?`;
}

export function steps(study) {
  const what = study.protocol === "single" ? "The picture is" : "The two pictures are";
  const time = study.seconds === null
    ? `${what} there until you answer.`
    : `${what} there for ${count(study.seconds, "second")}, then gone. After that take as long as you like to answer.`;
  return [
    "Look at the cross in the middle; the pictures follow.",
    time,
    ...(study.practice ? [`${study.practice === 1 ? "The first one is" : `The first ${study.practice} are`} practice${study.protocol === "preference" ? "." : ": you are told whether you were right. Later you are not."}`] : []),
    noise[study.protocol],
    "You cannot go back. If you do not know, guess.",
    ...(matchMedia("(any-hover: hover)").matches ? ["P makes a pause."] : []),
  ];
}

const noise = {
  paired: "Some pictures may be nothing but noise: those are not real.",
  single: "Some pictures may be nothing but noise: those are not real.",
  preference: "Some pictures may be nothing but noise: the other one is better.",
};

/** When practice is over. */
export function after(study) {
  const told = study.protocol === "preference" ? "" : " From here on you are not told whether you were right.";
  return `Now the other ${study.total - study.practice}.${told}`;
}

const percent = (part, whole) => `${Math.round((100 * part) / whole)}\u00a0%`;

/** The last screen: {text, meaning, share (of 1, drawn as a bar) or null}. said: {right, of} of the trials in earnest. */
export function own(study, said) {
  if (study.protocol === "preference" || !said.of) {
    return { text: "You have done all of it.", meaning: "Which pictures came from where is told by those who made the study.", share: null };
  }
  const text = `You were right in ${said.right} of the ${said.of} that count (${percent(said.right, said.of)}).`;
  const meaning = "Somebody who only guesses is right in about half of them: the dashed line."
    + (said.fooled_of ? ` You took ${said.fooled} of ${count(said.fooled_of, "made picture")} for real.` : "");
  return { text, meaning, share: said.right / said.of };
}
