// What a rater's page asks of the server. Nothing that was answered is given up: it is sent again until it is stored.

const PATIENCE = [300, 600, 1200, 2500, 5000];
const SLOW = 1000; // milliseconds without an answer after which it is said that there is none
const HANGS = 15_000; // milliseconds after which a question is given up and asked again

/** Asked in vain: `status` of HTTP (0: the server could not be reached) and what the server said of it. */
export class Refused extends Error {
  constructor(status, said) {
    super([said?.what, said?.fix].filter(Boolean).join(". ") || `the server answered ${status}`);
    this.status = status;
    this.code = said?.code ?? "";
  }
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

let token = document.querySelector('meta[name="sparring-token"]')?.content ?? "";

/** Read the token again from this page's own address: a server that was started anew has another one. */
async function renew() {
  const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  token = page.querySelector('meta[name="sparring-token"]')?.content ?? token;
}

async function once(path, body) {
  const how = { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(HANGS) };
  if (body !== undefined) {
    how.method = "POST";
    how.headers = { "Content-Type": "application/json", "X-Sparring-Token": token };
    how.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, how);
  } catch {
    throw new Refused(0, { what: "the server cannot be reached" });
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.error);
  return said;
}

/**
 * Ask until there is an answer. A GET without `body`, a POST with it; both may be sent twice without harm.
 *
 * trouble: told a sentence while the server does not answer, after a second at the latest, and "" when it does again.
 * waiting: this sentence.
 */
export async function ask(path, body, trouble = () => {}, waiting = "The server does not answer. Trying again …") {
  let told = false;
  const tell = (text) => { told = true; trouble(text); };
  for (let tries = 0; ; tries++) {
    const slow = setTimeout(() => tell(waiting), SLOW);
    try {
      const said = await once(path, body);
      clearTimeout(slow);
      if (told) trouble("");
      return said;
    } catch (error) {
      clearTimeout(slow);
      if (!(error instanceof Refused)) throw error;
      const stale = error.code === "TOKEN" || error.code === "STRANGER"; // the server was started anew
      if (!stale && error.status !== 0 && error.status !== 429 && error.status < 500) throw error;
      if (error.code === "STRANGER") tell("Open this page in a second tab and enter the password; then this one goes on.");
      else if (!stale || tries) tell(waiting);
      await wait(PATIENCE[Math.min(tries, PATIENCE.length - 1)]);
      if (stale) await renew().catch(() => {});
    }
  }
}
