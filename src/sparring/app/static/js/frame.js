// What all pages share: the way between them, and the line in which something is said.

const PAGES = [
  ["/", "Runs"],
  ["/play", "Play"],
  ["/translate", "Translate"],
  ["/playground", "Playground"],
  ["/study", "Study"],
];

function link(address, text) {
  const made = document.createElement("a");
  made.href = address;
  made.textContent = text;
  return made;
}

const main = document.querySelector("main");
main.id ||= "main";
main.tabIndex = -1;
const bare = document.body.classList.contains("bare"); // people who take a study see no other page
if (!bare) {
  const header = document.createElement("header");
  header.className = "frame";
  const skip = link(`#${main.id}`, "Skip to content");
  skip.className = "skip";
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = "sparring";
  const nav = document.createElement("nav");
  nav.setAttribute("aria-label", "Pages");
  for (const [address, text] of PAGES) {
    const one = link(address, text);
    if (location.pathname === address) one.setAttribute("aria-current", "page");
    nav.append(one);
  }
  header.append(skip, name, nav);
  document.body.prepend(header);
}
if (!document.querySelector("#say")) {
  const said = document.createElement("p");
  said.id = "say";
  said.setAttribute("role", "status");
  said.setAttribute("aria-live", "polite");
  main.before(said);
}
