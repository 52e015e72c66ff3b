// What the viewer's pages share: asking, following events, keys that work everywhere. Needs text.js.
const $ = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en");
const here = new URLSearchParams(location.search);
async function ask(address, values) {
  const answer = await fetch(address + "?" + new URLSearchParams(values));
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
function say(text) { $("said").textContent = visible(text); }
// Only a page that is seen follows: a browser has few connections to one address.
function follow(address, act) {
  let source = null;
  function close(text) {
    source?.close();
    source = null;
    $("link").textContent = text;
  }
  function open() {
    if (source || document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => { $("link").textContent = "live"; };
    source.onmessage = (event) => act(JSON.parse(event.data));
    source.onerror = () => {
      $("link").textContent = "connection lost, trying again";
      if (source?.readyState === EventSource.CLOSED) { close("connection lost, trying again"); setTimeout(open, 3000); }
    };
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close("paused") : open()));
  addEventListener("pagehide", () => close("paused"));
  addEventListener("pageshow", open);
  open();
}
function link(text, address, name) {
  const made = node("a", text, name);
  made.href = address;
  return made;
}
function bar(done, total) {
  const made = document.createElement("progress");
  made.max = Math.max(1, total);
  made.value = done;
  made.setAttribute("aria-label", `${done} of ${total}`);
  return made;
}
function warnings(card) {
  return card.warnings.flatMap((text, at) => [...(at ? [", "] : []), node("span", text, text.length < 40 ? "short" : "")]);
}
function progressText(card) {
  if (!card.total) return card.stage;
  const stage = card.stage ? card.stage + " " : "";
  return card.done === card.total && !card.stage ? `${count(card.total)} samples` : `${stage}${count(card.done)} of ${count(card.total)}`;
}
const typing = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox";
function onKeys(keys) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing() && event.key !== "Escape") return;
    const act = keys[event.key];
    if (act && act(event) !== false) event.preventDefault();
  });
}
