// Keyboard shortcuts, and the help that lists them.

/**
 * actions: {key: [what it does in words, function, whether it goes on while the key is held]}; several keys may share a
 * line as "+ =".
 */
export function bindKeys(actions, list, help) {
  const byKey = new Map();
  for (const [keys, [words, act, held = false]] of Object.entries(actions)) {
    for (const key of keys.split(" ")) byKey.set(key, { act, held });
    const name = document.createElement("dt");
    const shown = document.createElement("kbd");
    shown.textContent = keys.split(" ")[0].replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("Escape", "Esc");
    name.append(shown);
    const meaning = document.createElement("dd");
    meaning.textContent = words;
    list.append(name, meaning);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.key.startsWith("Arrow") && event.target.closest("input")) return; // a slider's own keys
    const action = byKey.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!action) return;
    event.preventDefault();
    if (action.held || !event.repeat) action.act();
  });
}
