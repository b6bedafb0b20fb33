import { post, say } from "./api.js";

const form = document.querySelector("#enter");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/api/enter", { password: document.querySelector("#password").value });
    location.reload();
  } catch (error) {
    say(error);
  }
});
