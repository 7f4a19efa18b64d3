// @ts-check
// The page: the list and the open capture side by side, and the commands for keys and buttons.
import { html, render, useEffect, useRef, useState } from "./ui/ui.js";
import { useActions } from "./capture/actions.js";
import { Detail } from "./capture/detail.js";
import { useCheck } from "./check/state.js";
import { Header } from "./frame/header.js";
import { KeysDialog, useKeys } from "./frame/keys.js";
import { Split } from "./frame/split.js";
import { titleOf } from "./frame/title.js";
import { HoldPanel, toggleHold } from "./hold/hold.js";
import { useCursor } from "./list/cursor.js";
import { Empty } from "./list/empty.js";
import { useCaptures, useOpened } from "./list/feed.js";
import { Filters } from "./list/filters.js";
import { List } from "./list/list.js";
import { Timeline } from "./list/timeline.js";
import { go, readLocation, useLocation } from "./net/location.js";
import { Boundary } from "./ui/boundary.js";
import { Dialog, Toasts, Uncopied } from "./ui/dialogs.js";
import { oneLine } from "./ui/format.js";
import { later } from "./ui/later.js";
import { Problem } from "./ui/parts.js";

const Check = later(() => import("./check/check.js"), "Check");
const Trigger = later(() => import("./trigger/form.js"), "Trigger");
const PARTS = ["summary", "body", "signature", "response", "run", "edit", "check"];

function App() {
  const place = useLocation();
  const feed = useCaptures(place.filters, place.open);
  const check = useCheck();
  const [dialog, setDialog] = useState({ name: "" });
  const show = (name) => setDialog({ name });
  // A dialog reports that it is closed only after the next key, which may have opened this or another dialog.
  const leave = () => setDialog((now) => (now === dialog ? { name: "" } : now));
  const searchRef = useRef(/** @type {HTMLElement | null} */ (null));
  const opened = useOpened(place.open, feed);
  const cursor = useCursor(feed, place, opened);
  const { marked, result, actions } = useActions({ onOpen: cursor.put, onClose: cursor.show });
  const { session, spans } = feed;
  const isEmpty = spans?.count === 0 && Object.keys(place.filters).length === 0;

  const counts = { waiting: feed.waiting.length, held: feed.held.count };
  const title = titleOf({ row: opened, view: place.view, session, ...counts });
  useEffect(() => { document.title = title; }, [title]);

  const showCheck = () => {
    const { open: id, view } = readLocation();
    if (id) check.change({ source: `capture:${id}` });
    go({ view: view && !id ? "" : "check", open: "", tab: "", against: "" });
  };
  const enter = () => {
    const row = cursor.row();
    if (readLocation().open) document.getElementById("panel")?.focus();
    else if (row) actions.open(row.id, row.seq);
  };
  /** @param {(id: string) => void} run */
  const withOpen = (run) => () => {
    const { open: id } = readLocation();
    if (id) run(id);
  };
  const parts = PARTS.map((name, index) => [index + 1, withOpen(() => actions.tab(name))]);
  const next = () => cursor.move(1);
  const previous = () => cursor.move(-1);
  useKeys(
    {
      j: next, ArrowDown: next, k: previous, ArrowUp: previous, Enter: enter,
      "/": () => searchRef.current?.focus(), "?": () => show("help"), t: () => show("trigger"), h: showCheck,
      p: () => toggleHold(feed.held),
      r: withOpen(actions.replay), e: withOpen(actions.edit), c: withOpen(actions.curl),
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
      onTrigger=${() => show("trigger")}
      onCheck=${showCheck}
      onKeys=${() => show("help")}
      held=${feed.held}
    />
    <${HoldPanel} state=${feed.held} find=${feed.find} onOpen=${actions.open} />
    <main class="main">
      <div class="left">
        ${place.view === "check"
          ? html`<${Boundary} what="The check">
              <${Check} check=${check} isEmpty=${isEmpty} session=${session} onOpen=${actions.open}
                onClose=${() => go({ view: "" })} />
            <//>`
          : html`<${Captures} feed=${feed} place=${place} marked=${marked} cursor=${cursor} isEmpty=${isEmpty}
              actions=${actions} onTrigger=${() => show("trigger")} />`}
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
    ${dialog.name === "help" && html`<${KeysDialog} key=${dialog} onClose=${leave} />`}
    ${dialog.name === "trigger" && html`<${Dialog} key=${dialog} title="Trigger an action or workflow" onClose=${leave}>
      <${Trigger}
        mode=${session?.mode}
        onClose=${leave}
        onOpen=${(id) => {
          leave();
          actions.open(id);
        }}
      />
    <//>`}
  </div>`;
}

/** The timeline, the filters, and the list. If the list is empty, the page explains why. */
function Captures({ feed, place, marked, cursor, isEmpty, actions, onTrigger }) {
  const { filters, open } = place;
  const { session, spans, problem } = feed;
  return html`
    ${!isEmpty && html`<${Boundary} what="The timeline">
        <${Timeline} filters=${filters} arrivals=${feed.arrivals} isListed=${feed.isListed} />
      <//>
      <${Filters} filters=${filters} spans=${spans} />`}
    ${session?.problem && html`<p class="note bad" role="alert">${oneLine(session.problem)}</p>`}
    ${problem && html`<${Problem} problem=${problem}>
      ${" "}<button type="button" class="link" onClick=${feed.retry}>Try again</button>
    <//>`}
    ${spans && spans.count === 0
      ? html`<${Empty} filters=${filters} session=${session} onTrigger=${onTrigger} />`
      : html`<${List} feed=${feed} open=${open} marked=${marked} cursor=${cursor.number} onOpen=${actions.open}
          listRef=${cursor.listRef} />`}`;
}

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
render(html`<${Boundary} what="The inspector"><${App} /><//>`, root);
