// How long people see pictures: prepared before, drawn at one frame of the screen, gone at another.

const IDLE = 1000 / 60;

/** Fetch a picture and decode it now. Resolves to an ImageBitmap: to draw it later costs no time. */
export async function decoded(address) {
  const answer = await fetch(address, { credentials: "same-origin" });
  if (!answer.ok) throw Object.assign(new Error(`a picture did not come (${answer.status})`), { status: answer.status });
  return createImageBitmap(await answer.blob());
}

/** The length of one frame of this screen in milliseconds: the median of `count` frames. */
export function period(count = 12) {
  return new Promise((done) => {
    const gaps = [];
    let last = null;
    const frame = (now) => {
      if (last !== null) gaps.push(now - last);
      last = now;
      if (gaps.length < count) return requestAnimationFrame(frame);
      const middle = gaps.sort((a, b) => a - b)[count >> 1];
      done(middle > 2 && middle < 50 ? middle : IDLE);
    };
    requestAnimationFrame(frame);
  });
}

/**
 * Call `show` in one frame and `hide` in the first frame at which `milliseconds` are over, to within half a frame.
 *
 * Both are measured by the clock of the frames (what was drawn between them is what was seen), so a timer's delay does
 * not matter. A page that is put away meanwhile hides at once. began: told the moment of onset.
 * Resolves to the milliseconds for which it was there.
 */
export function expose({ show, hide, milliseconds, frame: length = IDLE, began = () => {} }) {
  return new Promise((done) => {
    let onset = null;
    const end = (now) => {
      hide();
      document.removeEventListener("visibilitychange", away);
      done(now - onset);
    };
    const away = () => {
      if (onset !== null && document.visibilityState === "hidden") {
        cancelAnimationFrame(handle);
        end(performance.now());
      }
    };
    const step = (now) => {
      if (onset === null) {
        show();
        onset = now;
        began(now);
      } else if (now - onset >= milliseconds - length / 2) {
        return end(now);
      }
      handle = requestAnimationFrame(step);
    };
    let handle = requestAnimationFrame(step);
    document.addEventListener("visibilitychange", away);
  });
}

/** Wait for `milliseconds` of frames: time that passes only while the page is looked at. */
export function frames(milliseconds) {
  return new Promise((done) => {
    let left = milliseconds;
    let last = null;
    const step = (now) => {
      if (last !== null) left -= Math.min(now - last, 100);
      last = now;
      if (left <= 0) return done(now);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
}
