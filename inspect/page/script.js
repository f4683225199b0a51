// Filters files (or what else the page lists) by their text; a link into one unfolds it.
const search = document.querySelector("input[type=search]");
const count = document.getElementById("count");
const files = [...document.querySelectorAll("details.file")];
const rows = [...document.querySelectorAll(".matrix tbody tr")];

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  files.forEach((file, i) => {
    const text = file.textContent.toLowerCase();
    const hit = words.every((word) => text.includes(word));
    file.hidden = !hit;
    if (rows[i]) rows[i].hidden = !hit;
    shown += hit;
  });
  count.textContent = words.length ? `${shown} of ${files.length} ${count.dataset.noun || "files"}` : "";
}

function unfold() {
  const file = document.getElementById(location.hash.slice(1));
  if (file && file.matches("details")) file.open = true;
}

search.addEventListener("input", filter);
addEventListener("hashchange", unfold);
unfold();
