"use strict";
for (const button of document.querySelectorAll(".board button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), column = Number(button.dataset.column);
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : button.dataset.first === "up";
    const valueOf = (entry) => {
      const text = entry.querySelectorAll("[data-value]")[column].dataset.value;
      return text === "" ? null : Number(text);
    };
    const entries = [...table.tBodies].sort((one, other) => {
      const a = valueOf(one), b = valueOf(other);
      if (a === null || b === null) return (a === null) - (b === null);
      return up ? a - b : b - a;
    });
    table.append(...entries);
    for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  });
}
