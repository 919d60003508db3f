// Gives the key to the server, which puts it into a cookie that scripts cannot read.
const form = document.getElementById("form");
const said = document.getElementById("said");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  try {
    const answer = await fetch("/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: form.key.value }),
    });
    if (answer.ok) {
      localStorage.setItem("sightline-login", "yes");
      location.assign("/");
      return;
    }
    const { error } = await answer.json();
    said.textContent = answer.status === 401 ? "This key does not work here. Check it, or ask for a new one." : error.message;
  } catch {
    said.textContent = "The server does not answer.";
  }
  form.key.select();
});

// an address given out with a key in it (#key=...): browsers keep that part to themselves, also over our redirect to this page
const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  history.replaceState(null, "", location.pathname);
  form.key.value = given;
  form.requestSubmit();
}
