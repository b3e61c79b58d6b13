// One-line messages that go away by themselves.

const STAY = { plain: 4000, error: 9000 }; // ms
const MOST = 4; // at a time

export function notice(text, error = false) {
  const list = document.getElementById("notices");
  const line = document.createElement("p");
  line.textContent = text;
  line.dataset.error = String(error);
  list.append(line);
  while (list.children.length > MOST) list.firstElementChild.remove();
  setTimeout(() => line.remove(), error ? STAY.error : STAY.plain);
}
