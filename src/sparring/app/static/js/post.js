// What a rater's page asks of the server. Nothing that was answered is given up: it is sent again until it is stored.

const PATIENCE = [300, 600, 1200, 2500, 5000];

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
  const how = { credentials: "same-origin", cache: "no-store" };
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
 * trouble: told a sentence while the server does not answer, and "" when it does again.
 */
export async function ask(path, body, trouble = () => {}) {
  for (let tries = 0; ; tries++) {
    try {
      const said = await once(path, body);
      if (tries) trouble("");
      return said;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const stale = error.code === "TOKEN" || error.code === "STRANGER"; // the server was started anew
      if (!stale && error.status !== 0 && error.status !== 429 && error.status < 500) throw error;
      if (error.code === "STRANGER") trouble("Open this page in a second tab and enter the password; then this one goes on.");
      else if (!stale || tries) trouble("The server does not answer. Your answer is kept on this page and sent again …");
      await wait(PATIENCE[Math.min(tries, PATIENCE.length - 1)]);
      if (stale) await renew().catch(() => {});
    }
  }
}
