// The page: list and detail side by side, keys, and messages.
import { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, Button, Icon } from "./ui/ui.js";
import { Detail } from "./capture/detail.js";
import { exportAs } from "./capture/export.js";
import { useCheck, Check } from "./check/check.js";
import { HoldButton, HoldPanel, toggleHold } from "./hold/hold.js";
import { useCaptures } from "./list/feed.js";
import { Filters, Search } from "./list/filters.js";
import { List } from "./list/list.js";
import { Timeline } from "./list/timeline.js";
import { captureUrl, post } from "./net/api.js";
import { go, useLocation } from "./net/location.js";
import { readLocation } from "./net/place.js";
import { Trigger } from "./trigger/form.js";
import { Boundary } from "./ui/boundary.js";
import { copy, say } from "./ui/copy.js";
import { isDialogOpen, Dialog, Toasts, Uncopied } from "./ui/dialogs.js";
import { oneLine } from "./ui/format.js";

const KEYS = [
  ["j / k", "next, previous capture"], ["Enter", "open the capture, then go into it"], ["Esc", "close it"], ["/", "search"],
  ["r", "replay it"], ["e", "edit and replay it"], ["m", "mark it"], ["d", "compare with the marked one"], ["c", "copy it as curl"],
  ["t", "trigger an action"], ["h", "check the handler"],
  ["p", "hold requests, or release them"], ["1 – 7", "parts of the capture"], ["?", "this help"],
];

const ICON = new URL("./icon.svg", import.meta.url).pathname;

function App() {
  const place = useLocation();
  const feed = useCaptures(place.filters, place.open);
  const check = useCheck();
  const [marked, setMarked] = useState("");
  const [dialog, setDialog] = useState("");
  const [result, setResult] = useState(null);
  // A dialog says that it is closed only after the next key, which may have opened another one.
  const leave = (name) => setDialog((now) => (now === name ? "" : now));
  const searchRef = useRef(null);
  const listRef = useRef({ reveal() {}, toTop() {}, focus() {} });
  const at = useRef(-1);
  const [cursor, setCursor] = useState(-1);
  const mark = useRef("");
  const setMark = (id) => {
    mark.current = id;
    setMarked(id);
  };

  useEffect(() => {
    if (!place.open || !feed.spans) return;
    const row = [...Array(Math.min(feed.spans.count, 2000)).keys()].find((index) => feed.row(index)?.id === place.open);
    if (row !== undefined) at.current = row;
  }, [place.open, feed.spans]);

  const open = useCallback((id, index) => {
    if (index !== undefined) at.current = index;
    go({ open: id, against: "" });
  }, []);
  const actions = useMemo(() => ({
    open: (id) => open(id),
    close: () => {
      go({ open: "", tab: "", against: "" });
      setCursor(at.current);
      requestAnimationFrame(() => listRef.current.focus());
    },
    tab: (name) => go({ tab: name === "summary" ? "" : name, against: "" }, { replace: true }),
    against: (id, other) => go({ open: id, against: other }),
    compare: (id) => {
      const marked = mark.current;
      if (!marked) {
        setMark(id);
        say("Marked. Open another capture and press d to compare the two.");
      } else if (marked === id) say("This is the marked capture. Choose another one.");
      else go({ open: id, against: marked });
    },
    curl: (id) => exportAs(id, "curl", true),
    replay: async (id) => {
      setResult({ id, sent: null, problem: null });
      try {
        setResult({ id, sent: await post(captureUrl(id, "/replay"), {}), problem: null });
      } catch (error) {
        setResult({ id, sent: null, problem: error });
      }
    },
    dismiss: () => setResult(null),
  }), []);

  const showCheck = () => {
    const { open: id, view } = readLocation();
    if (id) check.change({ source: `capture:${id}` });
    go({ view: view && !id ? "" : "check", open: "", tab: "", against: "" });
  };
  const move = (step) => {
    if (readLocation().view) return;
    const count = feed.spans?.count ?? 0;
    if (!count) return;
    const index = Math.min(count - 1, Math.max(0, at.current + step));
    const row = feed.row(index);
    at.current = index;
    setCursor(index);
    listRef.current.reveal(index);
    if (row && readLocation().open) go({ open: row.id, against: "" }, { replace: true });
  };

  // The handler reads the page's state when a key is pressed: the next key may come before the page is drawn again.
  useLayoutEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches?.("input:not([type=checkbox]), textarea, select");
      if (event.key === "Escape") {
        if (isDialogOpen()) return;
        if (typing) event.target.blur();
        else if (readLocation().open) actions.close();
        else if (readLocation().view) go({ view: "" });
        return;
      }
      if (typing || isDialogOpen()) return;
      const id = readLocation().open;
      const run = {
        j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
        "/": () => searchRef.current?.focus(), "?": () => setDialog("help"), t: () => setDialog("trigger"), h: showCheck, p: () => !event.repeat && toggleHold(feed.held),
        r: () => id && actions.replay(id), e: () => id && actions.tab("edit"), c: () => id && actions.curl(id),
        d: () => id && actions.compare(id), m: () => { if (id) { setMark(id); say("Marked. Open another capture and press d to compare the two."); } },
        Enter: isInList(event.target) ? () => (id ? document.getElementById("panel")?.focus() : feed.row(at.current) && open(feed.row(at.current).id, at.current)) : undefined,
      }[event.key];
      const part = ["summary", "body", "signature", "response", "run", "edit", "check"][Number(event.key) - 1];
      if (event.key.startsWith("Arrow") && event.target.closest?.(".tree, .panel, .tabs, .checks, pre")) return;
      if (run) { run(); event.preventDefault(); }
      else if (part && id) { actions.tab(part); event.preventDefault(); }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });

  const { session, spans } = feed;
  const isEmpty = spans?.count === 0 && Object.keys(place.filters).length === 0;
  return html`<div class=${`app${place.open ? " has-detail" : ""}`}>
    <header class="top">
      <h1><img src=${ICON} width="22" height="22" alt="" />port-hook</h1>
      <${Where} session=${session} state=${feed.state} />
      <${Search} filters=${place.filters} inputRef=${searchRef} />
      <${Button} icon="play" label="Trigger" onClick=${() => setDialog("trigger")} title="Trigger an action (t)" />
      <${Button} icon="shield" label=${check.isRunning ? "Checking…" : "Check"} onClick=${showCheck} title="Check the handler (h)" pressed=${place.view === "check"} />
      <${HoldButton} state=${feed.held} session=${session} />
      <${Button} icon="question" label="Keys" iconOnly onClick=${() => setDialog("help")} />
    </header>
    <${HoldPanel} state=${feed.held} onOpen=${open} />
    <main class="main">
      ${place.view === "check" ? html`<div class="left"><${Boundary} what="The check"><${Check} check=${check} isEmpty=${isEmpty} session=${session} onOpen=${open} onClose=${() => go({ view: "" })} /><//></div>` : html`<div class="left">
        ${!isEmpty && html`<${Boundary} what="The timeline"><${Timeline} filters=${place.filters} arrivals=${feed.arrivals} isListed=${feed.isListed} /><//>`}
        ${!isEmpty && html`<${Filters} filters=${place.filters} spans=${spans} session=${session} />`}
        ${session?.problem && html`<p class="note bad" role="alert">${oneLine(session.problem)}</p>`}
        ${feed.problem && html`<p class="note bad" role="alert">${feed.problem.message} ${feed.problem.hint} <button type="button" class="link" onClick=${feed.retry}>Try again</button></p>`}
        ${spans && spans.count === 0
          ? html`<${Empty} filters=${place.filters} session=${session} />`
          : html`<${List} feed=${feed} open=${place.open} marked=${marked} cursor=${cursor} onOpen=${open} listRef=${listRef} />`}
      </div>`}
      ${place.open && html`<${Boundary} what="This capture" at=${`${place.open} ${place.tab} ${place.against}`}><${Detail} id=${place.open} tab=${place.tab} against=${place.against} session=${session}
        version=${feed.changes} check=${check} replayed=${result?.id === place.open ? result : null} actions=${actions} /><//>`}
    </main>
    <${Toasts} />
    <${Uncopied} />
    ${dialog === "help" && html`<${Dialog} title="Keys" onClose=${() => leave("help")}><dl class="keys">${KEYS.map(([key, text]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl><//>`}
    ${dialog === "trigger" && html`<${Dialog} title="Trigger an action" onClose=${() => leave("trigger")}><${Trigger} onClose=${() => leave("trigger")} onOpen=${(id) => { leave("trigger"); open(id); }} /><//>`}
  </div>`;
}

function Where({ session, state }) {
  const words = { live: "live", connecting: "connecting", waiting: "reconnecting", closed: "disconnected" };
  const address = session?.public_url ?? session?.url;
  return html`<p class="where"><span class=${`dot ${state}`}></span><span>${words[state]}</span>
    ${address && html`<button type="button" class="link mono" title="Copy the URL" onClick=${() => copy(address, "Copied the URL.")}>${oneLine(address)}<${Icon} name="copy" size=${13} /></button>`}
    ${session?.mode === "store" && html`<span class="dim mono" title=${session.store}>${oneLine(session.store.split("/").slice(-2).join("/"))}</span>`}</p>`;
}

function Empty({ filters, session }) {
  if (Object.keys(filters).length) {
    return html`<div class="empty-state"><${Icon} name="search" size=${32} /><h2>No captures match</h2><p>Widen the filters, or clear them.</p><${Button} label="Clear the filters" onClick=${() => go({ filters: {} })} /></div>`;
  }
  const url = session?.public_url ?? session?.url;
  return html`<div class="empty-state"><${Icon} name="clock" size=${32} /><h2>Waiting for the first invocation</h2>
    ${url
      ? html`<p>In Port, set this URL as the webhook URL of your workflow node or action, then run it:</p><button type="button" class="link mono big" onClick=${() => copy(url, "Copied the URL.")}>${oneLine(url)}</button>
          <p>Or send one from a terminal:</p><pre class="raw">port-hook trigger WORKFLOW.json#NODE --to ${session.url}</pre><pre class="raw">port-hook trigger ACTION.json --to ${session.url}</pre>`
      : html`<p>Start a listener in this folder:</p><pre class="raw">port-hook listen --forward-to 8000</pre>`}</div>`;
}

function isInList(target) {
  return target === document.body || target.classList?.contains("scroll");
}

render(html`<${Boundary} what="The inspector"><${App} /><//>`, document.getElementById("app"));
