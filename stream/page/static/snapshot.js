// The snapshot: the newest magnified picture at full resolution, without JPEG's losses, as a file.

export async function snapshot(token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch("snapshot", { method: "POST", headers, body: "{}" }).catch(() => {
    throw new Error("no connection to deepmag"); // each browser has other words for it
  });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.error ?? `the server answered ${response.status}`);
  }
  const name = /filename="([\w.-]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? "deepmag.png";
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  return name;
}
