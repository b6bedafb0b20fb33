// What the pages with pictures share.

import { say } from "./api.js";

/**
 * A function that runs `task` one call at a time: of the calls made while it runs only the last is kept. What goes wrong
 * is said, until it goes well again. `fault(error)` says it, and is told "" when it is over.
 */
export function latest(task, fault = say) {
  let busy = false;
  let next;
  let failed = false;
  return async (...asked) => {
    next = asked;
    if (busy) return;
    busy = true;
    while (next) {
      const now = next;
      next = undefined;
      try {
        await task(...now);
        if (failed) fault("");
        failed = false;
      } catch (error) {
        fault(error);
        failed = true;
      }
    }
    busy = false;
  };
}

/** A Blob with a picture as something a canvas can draw. */
export const bitmap = (blob) => createImageBitmap(blob);

/** Put a Blob into an <img>, and into a link that downloads it under a name; what was there before is given back. */
export async function put(blob, image, link, name) {
  const address = URL.createObjectURL(blob);
  const before = image.src;
  image.src = address;
  if (link) {
    link.href = address;
    link.download = name;
  }
  await image.decode().catch(() => undefined);
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

/** Save a Blob as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The name of a run as a part of a file name. */
export const plain = (name) => name.replace(/[^\p{L}\p{N}_-]+/gu, "-").slice(0, 60) || "run";

/** Fill a <select> with [value, text] pairs. */
export function fill(select, pairs) {
  select.replaceChildren(
    ...pairs.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }),
  );
}

/** Which run the address asks for, and say in it which one is shown. */
export const asked = () => new URLSearchParams(location.search).get("run");
export const remember = (id) => history.replaceState(null, "", `${location.pathname}?run=${encodeURIComponent(id)}`);

export const thousands = (number) => number.toLocaleString("en");
