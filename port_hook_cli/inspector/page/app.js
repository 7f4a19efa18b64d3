// The page: list and detail side by side, keys, and messages.
import { html, render, Button, Icon, useCallback, useEffect, useRef, useState } from "./ui.js";
import { captureUrl, get, post } from "./api.js";
import { copy, say } from "./copy.js";
import { Detail } from "./detail.js";
import { useCaptures } from "./feed.js";
import { Filters, Search } from "./filters.js";
import { Trigger } from "./form.js";
import { List } from "./list.js";
import { go, readLocation, useLocation } from "./location.js";
import { Timeline } from "./timeline.js";
import { handlerText, latency, number, oneLine } from "./format.js";

const KEYS = [
  ["j / k", "next, previous capture"], ["Enter", "open the capture"], ["Esc", "close it"], ["/", "search"],
  ["r", "replay"], ["e", "edit and replay"], ["m", "mark"], ["d", "compare with the marked one"], ["c", "copy as curl"],
  ["t", "trigger an action"], ["1 – 6", "parts of the capture"], ["?", "this help"],
];

function App() {
  const place = useLocation();
  const feed = useCaptures(place.filters);
  const [marked, setMarked] = useState("");
  const [dialog, setDialog] = useState("");
  const [result, setResult] = useState(null);
  const searchRef = useRef(null);
  const listRef = useRef({ reveal() {}, toTop() {} });
  const at = useRef(-1);

  useEffect(() => {
    if (!place.open || !feed.spans) return;
    const row = [...Array(Math.min(feed.spans.count, 2000)).keys()].find((index) => feed.row(index)?.id === place.open);
    if (row !== undefined) at.current = row;
  }, [place.open, feed.spans]);

  const open = useCallback((id, index) => {
    if (index !== undefined) at.current = index;
    go({ open: id, against: "" });
  }, []);
  const actions = {
    open: (id) => open(id),
    close: () => go({ open: "", tab: "", against: "" }),
    tab: (name) => go({ tab: name === "summary" ? "" : name, against: "" }, { replace: true }),
    against: (id, other) => go({ open: id, against: other }),
    compare: (id) => {
      if (!marked) {
        setMarked(id);
        say("Marked. Choose another capture and compare again.");
      } else if (marked === id) say("This is the marked capture. Choose another one.");
      else go({ open: id, against: marked });
    },
    curl: (id) => get(captureUrl(id, "/export/curl")).then((found) => copy(found.text, "Copied the curl command.")).catch((error) => say(error.message)),
    replay: async (id) => {
      try {
        const sent = await post(captureUrl(id, "/replay"), {});
        say(`Replayed: ${handlerText(sent.delivery)} in ${latency(sent.delivery.latency_ms)}. ${sent.delivery.error ? oneLine(sent.delivery.error) : ""}`);
        setResult(sent);
      } catch (error) {
        say(`${error.message} ${error.hint}`);
      }
    },
  };

  const move = (step) => {
    const count = feed.spans?.count ?? 0;
    if (!count) return;
    const index = Math.min(count - 1, Math.max(0, at.current + step));
    const row = feed.row(index);
    at.current = index;
    listRef.current.reveal(index);
    if (row) go({ open: row.id, against: "" }, { replace: Boolean(readLocation().open) });
  };

  useEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches?.("input, textarea, select");
      if (event.key === "Escape") {
        if (dialog) setDialog("");
        else if (typing) event.target.blur();
        else if (place.open) actions.close();
        return;
      }
      if (typing) return;
      const id = place.open;
      const run = {
        j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
        "/": () => searchRef.current?.focus(), "?": () => setDialog("help"), t: () => setDialog("trigger"),
        r: () => id && actions.replay(id), e: () => id && actions.tab("edit"), c: () => id && actions.curl(id),
        d: () => id && actions.compare(id), m: () => { if (id) { setMarked(id); say("Marked."); } },
      }[event.key];
      const part = ["summary", "body", "signature", "response", "run", "edit"][Number(event.key) - 1];
      if (event.key.startsWith("Arrow") && event.target.closest?.(".tree, .panel, .tabs, pre")) return;
      if (run) { run(); event.preventDefault(); }
      else if (part && id) { actions.tab(part); event.preventDefault(); }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });

  const { session, spans } = feed;
  return html`<div class=${`app${place.open ? " has-detail" : ""}`}>
    <header class="top">
      <h1><img src="/page/icon.svg" width="22" height="22" alt="" />port-hook</h1>
      <${Where} session=${session} state=${feed.state} />
      <${Search} filters=${place.filters} inputRef=${searchRef} />
      <${Button} icon="play" label="Trigger" onClick=${() => setDialog("trigger")} title="Trigger an action (t)" />
      <${Button} icon="question" label="Keys" iconOnly onClick=${() => setDialog("help")} />
    </header>
    <main class="main">
      <div class="left">
        <${Timeline} filters=${place.filters} arrivals=${feed.arrivals} />
        <${Filters} filters=${place.filters} />
        <p class="count" role="status">${spans ? html`${number(spans.count)}${spans.isComplete === false ? " or more" : ""} ${spans.count === 1 ? "capture" : "captures"}${session && !session.search.complete ? ", still being indexed" : ""}` : "Loading…"}${session?.problem ? html`<span class="bad"> ${oneLine(session.problem)}</span>` : ""}</p>
        ${feed.problem && html`<p class="note bad" role="alert">${feed.problem.message} ${feed.problem.hint} <button type="button" class="link" onClick=${feed.retry}>Try again</button></p>`}
        ${spans && spans.count === 0
          ? html`<${Empty} filters=${place.filters} session=${session} />`
          : html`<${List} feed=${feed} open=${place.open} marked=${marked} onOpen=${open} listRef=${listRef} />`}
      </div>
      ${place.open && html`<${Detail} id=${place.open} tab=${place.tab} against=${place.against} session=${session} version=${`${feed.version}-${result?.capture ?? ""}`} actions=${actions} />`}
    </main>
    <${Toasts} />
    ${dialog === "help" && html`<${Dialog} title="Keys" onClose=${() => setDialog("")}><dl class="keys">${KEYS.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl><//>`}
    ${dialog === "trigger" && html`<${Dialog} title="Trigger an action" onClose=${() => setDialog("")}><${Trigger} onClose=${() => setDialog("")} onOpen=${(id) => { setDialog(""); open(id); }} /><//>`}
  </div>`;
}

function Where({ session, state }) {
  const words = { live: "live", connecting: "connecting", waiting: "reconnecting", closed: "disconnected" };
  const address = session?.public_url ?? session?.url;
  return html`<p class="where"><span class=${`dot ${state}`}></span><span>${words[state]}</span>
    ${address && html`<button type="button" class="link mono" title="Copy the listener's URL" onClick=${() => copy(address, "Copied the URL.")}>${oneLine(address)}<${Icon} name="copy" size=${13} /></button>`}
    ${session?.mode === "store" && html`<span class="dim mono" title=${session.store}>${oneLine(session.store.split("/").slice(-2).join("/"))}</span>`}</p>`;
}

function Empty({ filters, session }) {
  if (Object.keys(filters).length) {
    return html`<div class="empty-state"><${Icon} name="search" size=${32} /><h2>No captures match</h2><p>Widen the filters, or clear them.</p><${Button} label="Clear the filters" onClick=${() => go({ filters: {} })} /></div>`;
  }
  const url = session?.public_url ?? session?.url;
  return html`<div class="empty-state"><${Icon} name="clock" size=${32} /><h2>Waiting for the first invocation</h2>
    ${url
      ? html`<p>Put this URL into your action in Port and run it:</p><button type="button" class="link mono big" onClick=${() => copy(url, "Copied the URL.")}>${oneLine(url)}</button>
          <p>Or send one from a terminal:</p><pre class="raw">port-hook trigger ACTION.json --to ${session.url}</pre>`
      : html`<p>Start a listener in this folder:</p><pre class="raw">port-hook listen --forward-to 8000</pre>`}</div>`;
}

function Toasts() {
  const [texts, setTexts] = useState([]);
  useEffect(() => {
    const onSaid = (event) => {
      const said = { text: event.detail, key: Math.random() };
      setTexts((old) => [...old.slice(-2), said]);
      setTimeout(() => setTexts((old) => old.filter((each) => each !== said)), 5000);
    };
    window.addEventListener("said", onSaid);
    return () => window.removeEventListener("said", onSaid);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">${texts.map((each) => html`<p key=${each.key}>${oneLine(each.text)}</p>`)}</div>`;
}

function Dialog({ title, onClose, children }) {
  const ref = useRef(null);
  useEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`<dialog ref=${ref} onCancel=${(event) => { event.preventDefault(); onClose(); }} onClick=${(event) => event.target === ref.current && onClose()} aria-label=${title}>
    <div class="dialog"><header><h2>${title}</h2><${Button} icon="x" label="Close" iconOnly onClick=${onClose} /></header>${children}</div></dialog>`;
}

render(html`<${App} />`, document.getElementById("app"));
