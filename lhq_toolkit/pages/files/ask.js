// Asks the server: JSON comes back, or an error that says what it said.

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function answered(response) {
  if (response.ok) return response.json();
  let text = "";
  try { text = await response.text(); } catch { /* the connection broke */ }
  try { text = String(JSON.parse(text).detail ?? text); } catch { /* plain text */ }
  throw new Refused(response.status, text);
}

export async function get(path) {
  return answered(await fetch(path));
}

export async function post(path, body) {
  return answered(await fetch(path, {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body)}));
}
