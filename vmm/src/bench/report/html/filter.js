(() => {
  const box = document.getElementById("filter");
  const input = document.getElementById("filter-text");
  box.hidden = false;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of document.querySelectorAll("table.costs tbody")) {
      const name = group.querySelector("tr.group").textContent;
      let shown = 0;
      for (const row of group.querySelectorAll("tr.row")) {
        const text = (name + " " + row.textContent).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      group.hidden = shown === 0;
    }
  });
})();
