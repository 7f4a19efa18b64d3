// @ts-check
// The page: list and detail side by side, and what its keys and buttons do.
import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "./ui/ui.js";
import { Detail } from "./capture/detail.js";
import { exportAs } from "./capture/export.js";
import { useCheck } from "./check/state.js";
import { Header } from "./frame/header.js";
import { KeysDialog, useKeys } from "./frame/keys.js";
import { Split } from "./frame/split.js";
import { titleOf } from "./frame/title.js";
import { HoldPanel, toggleHold } from "./hold/hold.js";
import { Empty } from "./list/empty.js";
import { useCaptures } from "./list/feed.js";
import { Filters } from "./list/filters.js";
import { List } from "./list/list.js";
import { useOpened } from "./list/opened.js";
import { Timeline } from "./list/timeline.js";
import { captureUrl, post } from "./net/api.js";
import { go, readLocation, useLocation } from "./net/location.js";
import { Boundary } from "./ui/boundary.js";
import { say } from "./ui/copy.js";
import { Dialog, Toasts, Uncopied } from "./ui/dialogs.js";
import { oneLine } from "./ui/format.js";
import { later } from "./ui/later.js";

const Check = later(() => import("./check/check.js"), "Check");
const Trigger = later(() => import("./trigger/form.js"), "Trigger");
const PARTS = ["summary", "body", "signature", "response", "run", "edit", "check"];
const MARKED = "Marked. Open another capture and press d to compare the two.";

function App() {
  const place = useLocation();
  const feed = useCaptures(place.filters, place.open);
  const check = useCheck();
  const [dialog, setDialog] = useState("");
  // A dialog reports that it is closed after the next key, which may have opened another dialog.
  const leave = (name) => setDialog((now) => (now === name ? "" : now));
  const searchRef = useRef(/** @type {HTMLElement | null} */ (null));
  const listRef = useRef(/** @type {any} */ (null));
  // The number of the capture at the cursor: an arrival changes a capture's place, but not its number.
  const at = useRef(0);
  const [cursor, setCursor] = useState(0);
  const { marked, result, actions } = useActions({
    onOpen: (seq) => { at.current = seq ?? at.current; },
    onClose: () => {
      setCursor(at.current);
      requestAnimationFrame(() => listRef.current?.focus());
    },
  });
  const opened = useOpened(place.open, feed);
  const { session, spans } = feed;
  const isEmpty = spans?.count === 0 && Object.keys(place.filters).length === 0;

  const revealed = useRef("");
  useEffect(() => {
    const index = opened && spans ? spans.indexOf(opened.seq) : -1;
    if (!place.open) revealed.current = "";
    if (index < 0 || !opened || !listRef.current || revealed.current === place.open) return;
    revealed.current = place.open;
    at.current = opened.seq;
    listRef.current.reveal(index);
  }, [place.open, place.view, opened?.seq, spans]);

  const title = titleOf({ row: opened, view: place.view, waiting: feed.waiting.length, session });
  useEffect(() => { document.title = title; }, [title]);

  const showCheck = () => {
    const { open: id, view } = readLocation();
    if (id) check.change({ source: `capture:${id}` });
    go({ view: view && !id ? "" : "check", open: "", tab: "", against: "" });
  };
  const move = (step) => {
    const { open: id, view } = readLocation();
    if (view || !spans?.count) return;
    const index = Math.min(spans.count - 1, Math.max(0, spans.indexOf(at.current) + step));
    const row = feed.row(index);
    at.current = spans.at(index) ?? 0;
    setCursor(at.current);
    listRef.current?.reveal(index);
    if (row && id) go({ open: row.id, against: "" }, { replace: true });
  };
  const enter = () => {
    const row = feed.row(spans?.indexOf(at.current) ?? -1);
    if (readLocation().open) document.getElementById("panel")?.focus();
    else if (row) actions.open(row.id, row.seq);
  };
  /** @param {(id: string) => void} run */
  const withOpen = (run) => () => {
    const { open: id } = readLocation();
    if (id) run(id);
  };
  const parts = PARTS.map((name, index) => [index + 1, withOpen(() => actions.tab(name))]);
  const next = () => move(1);
  const previous = () => move(-1);
  useKeys(
    {
      j: next, ArrowDown: next, k: previous, ArrowUp: previous, Enter: enter,
      "/": () => searchRef.current?.focus(), "?": () => setDialog("help"), t: () => setDialog("trigger"), h: showCheck,
      p: () => toggleHold(feed.held),
      r: withOpen(actions.replay), e: withOpen(() => actions.tab("edit")), c: withOpen(actions.curl),
      d: withOpen(actions.compare), m: withOpen(actions.mark), ...Object.fromEntries(parts),
    },
    () => {
      if (readLocation().open) actions.close();
      else if (readLocation().view) go({ view: "" });
    },
  );

  return html`<div class=${`app${place.open ? " has-detail" : ""}`}>
    <${Header}
      session=${session}
      state=${feed.state}
      filters=${place.filters}
      isEmpty=${isEmpty}
      view=${place.view}
      searchRef=${searchRef}
      isChecking=${check.isRunning}
      onTrigger=${() => setDialog("trigger")}
      onCheck=${showCheck}
      onKeys=${() => setDialog("help")}
      held=${feed.held}
    />
    <${HoldPanel} state=${feed.held} onOpen=${actions.open} />
    <main class="main">
      <div class="left">
        ${place.view === "check"
          ? html`<${Boundary} what="The check">
              <${Check} check=${check} isEmpty=${isEmpty} session=${session} onOpen=${actions.open}
                onClose=${() => go({ view: "" })} />
            <//>`
          : html`<${Captures} feed=${feed} place=${place} marked=${marked} cursor=${cursor} isEmpty=${isEmpty}
              actions=${actions} listRef=${listRef} onTrigger=${() => setDialog("trigger")} />`}
      </div>
      ${place.open && html`<${Split} />
        <${Boundary} what="This capture" at=${`${place.open} ${place.tab} ${place.against}`}>
          <${Detail} id=${place.open} tab=${place.tab} against=${place.against} session=${session}
            version=${feed.changes} check=${check} replayed=${result?.id === place.open ? result : null}
            actions=${actions} />
        <//>`}
    </main>
    <${Toasts} />
    <${Uncopied} />
    ${dialog === "help" && html`<${KeysDialog} onClose=${() => leave("help")} />`}
    ${dialog === "trigger" && html`<${Dialog} title="Trigger an action" onClose=${() => leave("trigger")}>
      <${Trigger}
        onClose=${() => leave("trigger")}
        onOpen=${(id) => {
          leave("trigger");
          actions.open(id);
        }}
      />
    <//>`}
  </div>`;
}

/** The timeline, the filters, and the list or why it is empty. */
function Captures({ feed, place, marked, cursor, isEmpty, actions, listRef, onTrigger }) {
  const { filters, open } = place;
  const { session, spans, problem } = feed;
  return html`
    ${!isEmpty && html`<${Boundary} what="The timeline">
        <${Timeline} filters=${filters} arrivals=${feed.arrivals} isListed=${feed.isListed} />
      <//>
      <${Filters} filters=${filters} spans=${spans} session=${session} />`}
    ${session?.problem && html`<p class="note bad" role="alert">${oneLine(session.problem)}</p>`}
    ${problem && html`<p class="note bad" role="alert">
      ${problem.message} ${problem.hint} <button type="button" class="link" onClick=${feed.retry}>Try again</button>
    </p>`}
    ${spans && spans.count === 0
      ? html`<${Empty} filters=${filters} session=${session} onTrigger=${onTrigger} />`
      : html`<${List} feed=${feed} open=${open} marked=${marked} cursor=${cursor} onOpen=${actions.open}
          listRef=${listRef} />`}`;
}

/** The actions on a capture. `onOpen` gets its number, if known. */
function useActions({ onOpen, onClose }) {
  const [marked, setMarked] = useState("");
  const [result, setResult] = useState(/** @type {{ id: string, sent: any, problem: any } | null} */ (null));
  const mark = useRef("");
  const hooks = useRef({ onOpen, onClose });
  hooks.current = { onOpen, onClose };
  const open = useCallback((/** @type {string} */ id, /** @type {number | undefined} */ seq = undefined) => {
    hooks.current.onOpen(seq);
    go({ open: id, against: "" });
  }, []);
  const actions = useMemo(() => ({
    open,
    close: () => {
      go({ open: "", tab: "", against: "" });
      hooks.current.onClose();
    },
    tab: (name) => go({ tab: name === "summary" ? "" : name, against: "" }, { replace: true }),
    against: (id, other) => go({ open: id, against: other }),
    mark: (id) => {
      mark.current = id;
      setMarked(id);
      say(MARKED);
    },
    compare: (id) => {
      const other = mark.current;
      if (!other) actions.mark(id);
      else if (other === id) say("This is the marked capture. Open another capture.");
      else go({ open: id, against: other });
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
  return { marked, result, actions };
}

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
render(html`<${Boundary} what="The inspector"><${App} /><//>`, root);
