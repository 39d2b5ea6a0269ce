// Sorts the table by the column whose heading is pressed; failures stay at the end.
const body = document.querySelector("#files tbody");
const heads = [...document.querySelectorAll("#files thead th[data-kind]")];
for (const head of heads) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => sort(head));
}
function sort(head) {
  const worthy = head.dataset.kind === "more";
  const before = head.getAttribute("aria-sort");
  const down = before ? before === "ascending" : worthy;
  const index = heads.indexOf(head);
  const value = (row) => {
    const cell = row.cells[index];
    if (!cell || row.classList.contains("failed")) return null;
    if (head.dataset.kind === "text") return cell.textContent.trim();
    return cell.dataset.value ? Number(cell.dataset.value) : null;
  };
  const rows = [...body.rows].map((row) => [value(row), row]);
  rows.sort(([a, x], [b, y]) => {
    const failed = x.classList.contains("failed") - y.classList.contains("failed");
    if (failed) return failed;
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return down ? -order : order;
  });
  body.append(...rows.map(([, row]) => row));
  for (const each of heads) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}
