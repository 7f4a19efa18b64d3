// @ts-check
// The types of the inspector's API (docs/reference/inspector-api.md). Nothing imports this module at run time.
export {};

/**
 * A capture as a row of the list.
 * @typedef {object} Row
 * @property {number} seq the number of the capture in the store
 * @property {string} id
 * @property {number} received_at seconds since the epoch
 * @property {string} method
 * @property {string} target
 * @property {string} kind
 * @property {string | null} name
 * @property {string | null} run_id
 * @property {string | null} user
 * @property {string | null} entity
 * @property {[name: string, text: string][]} inputs the first inputs, shortened
 * @property {string | null} operation
 * @property {"http" | "kafka" | "replay"} source
 * @property {string | null} message topic, partition and offset of a Kafka message
 * @property {string | null} replay_of
 * @property {string} verdict
 * @property {string[]} causes
 * @property {number | null} response the status of the response to the sender
 * @property {Handled | null} handler
 * @property {boolean} manual whether the user responded instead of the handler
 * @property {number} bytes
 * @property {string | null} problem why the payload could not be read
 */

/**
 * The handler's response.
 * @typedef {object} Handled
 * @property {number | null} status
 * @property {string | null} fault
 * @property {number} latency_ms
 */

/** @typedef {[name: string, value: string]} HeaderField */

/**
 * The beginning of a body.
 * @typedef {object} BodyText
 * @property {number} bytes
 * @property {number} kept
 * @property {string | null} text null if the body is not text
 * @property {boolean} is_whole
 * @property {"json" | "text" | "binary"} type
 * @property {string[] | null} hex
 * @property {string | null} problem
 */

/**
 * @typedef {object} Request
 * @property {string} method
 * @property {string} target
 * @property {HeaderField[]} headers
 * @property {BodyText} body
 */

/** @typedef {{ status: number, unchanged: boolean, headers: HeaderField[], body: BodyText }} Response */
/** @typedef {Handled & { url: string, error: string | null, headers: HeaderField[], body: BodyText }} Delivery */
/** @typedef {{ slug: string, explanation: string, fix: string }} Cause */

/**
 * The computation of the signature.
 * @typedef {object} SignatureParts
 * @property {string | null} timestamp
 * @property {number | null} timestamp_at
 * @property {string} signed_text
 * @property {number} signed_bytes
 * @property {string | null} received
 * @property {string | null} expected
 * @property {string | null} note
 */

/** @typedef {{ before: string, differs: string, after: string, hex: string, bytes: number }} Excerpt */
/** @typedef {{ offset: number, raw: Excerpt, signed: Excerpt }} Difference the first one, in bytes */

/**
 * @typedef {object} Verdict
 * @property {string} status
 * @property {string} about what the status means for this signature
 * @property {string | null} signed_form the encoding that the signature matches
 * @property {number | null} age_s
 * @property {Cause[]} causes
 * @property {SignatureParts} parts
 * @property {Difference | null} difference
 */

/**
 * One capture in full.
 * @typedef {object} Capture
 * @property {Row} row
 * @property {Request} request
 * @property {Verdict} verdict
 * @property {[label: string, value: string][]} summary
 * @property {{ name: string, type: string, text: string }[]} inputs
 * @property {{ path: string, before: string, after: string }[]} changes
 * @property {string[]} encrypted
 * @property {Delivery | null} delivery
 * @property {Response | null} response
 * @property {string[]} hints what the user can do about a handler that failed
 * @property {Record<string, string>} filters the facts of the capture as filters
 * @property {{ text: string, manual: boolean } | null} simulated
 * @property {string | null} fate
 * @property {Row[]} replays
 * @property {string | null} replay_to
 * @property {string[]} exports
 */

/**
 * A value in a JSON body. Objects and arrays have no text. Only objects, arrays and strings have a size.
 * @typedef {{ key: string | null, path: string, type: string, size: number | null, text: string | null }} TreeNode
 */
/** @typedef {TreeNode & { children: TreeNode[], next: number | null }} TreeLevel A value with some of its members. */
/** @typedef {{ matches: string[], complete: boolean }} TreeFound */

/**
 * The response to a request that the inspector sent.
 * @typedef {object} Sent
 * @property {Delivery} delivery
 * @property {Request} sent
 * @property {string[]} notes
 * @property {string | null} capture
 */

/**
 * An input of an action or a workflow's trigger. `items` are the choices of an array. `blueprint` is for entity inputs.
 * @typedef {Record<"title" | "format" | "description" | "blueprint", string | null>
 *   & Record<"minimum" | "maximum", number | null> & Record<"enum" | "items", any[] | null>
 *   & { name: string, type: any, required: boolean, default: any, encrypted: boolean }} Input
 */

/**
 * A definition that the user can trigger: an action, a workflow, or a node of a workflow.
 * @typedef {object} ActionForm
 * @property {string} identifier
 * @property {"action" | "workflow" | "workflow-node"} kind
 * @property {string | null} title
 * @property {string | null} description
 * @property {string | null} operation
 * @property {Input[]} inputs
 */

/** @typedef {{ error: string, line: number, column: number }} JsonProblem Line and column are 0 if unknown. */

/**
 * The requests that a check would send.
 * @typedef {{ name: string, capture: string | null, target: string, checks: number, works: number,
 *   notes: string[] }} Plan
 */
/**
 * @typedef {{ groups: { name: string, about: string }[], plan: Plan | null,
 *   problem: { error: string, hint: string } | null }} Planned
 */

/**
 * One result of a check.
 * @typedef {Record<"failure" | "why" | "fix", string | null> & Record<"group" | "check" | "status" | "seen", string>
 *   & { captures: string[], part_of: string | null }} Finding
 */

/**
 * A held request, or a request with a delayed manual response.
 * @typedef {object} Held
 * @property {string} id
 * @property {string} name
 * @property {string | null} run_id
 * @property {number} received_at
 * @property {boolean} can_respond false for a Kafka message
 * @property {{ status: number, delay_s: number } | null} response
 */

/** @typedef {{ holding: boolean, count: number, held: Held[] }} HeldState */

/** @typedef {"replay" | "sign" | "runs" | "trigger" | "check" | "decrypt" | "hold"} Ability */

/**
 * @typedef {object} Session
 * @property {string} version
 * @property {"listen" | "store" | "sandbox"} mode
 * @property {string} store
 * @property {string | null} url
 * @property {string | null} public_url
 * @property {number | null} count
 * @property {string | null} problem
 * @property {Record<Ability, boolean>} can
 * @property {Record<Ability, string | null>} why_not
 */

/**
 * The number of arrivals over time, in equal parts between two times in seconds since the epoch.
 * @typedef {object} Histogram
 * @property {number} from
 * @property {number} to
 * @property {[total: number, bad: number][]} buckets
 * @property {number[]} rejected the number of bad captures that had no accepted signature
 */

/**
 * The filters of the list. Each filter is a part of the page's URL.
 * @typedef {Record<string, string | string[]>} Filters
 */

/** @typedef {{ at: string | null, level: string | null, text: string, node?: string | null }} LogEntry */

/**
 * An action run or workflow run in Port. `skew_s` is how many seconds this machine's clock is ahead of Port's clock.
 * @typedef {{ id: string, kind: "action" | "workflow", name: string | null, status: string, label: string | null,
 *   link: string[], summary?: string | null, created_at?: string | null, ended_at?: string | null,
 *   url?: string | null, skew_s?: number | null }} PortRun
 */

/**
 * A node of a workflow, with its state in a run.
 * @typedef {{ id: string, type: string | null, title: string, status: string | null, result?: string | null,
 *   started_at?: string | null, ended_at?: string | null, run_id?: string | null, depth?: number,
 *   branch?: string | null, outlet?: string | null, output?: string | null, error?: string | null,
 *   links?: string[] }} RunNode
 */

/** @typedef {{ available: true, run: PortRun, logs: LogEntry[], nodes: RunNode[] }} FoundRun */
/**
 * @typedef {{ available: false, reason: string, hint: string, temporary?: boolean, can_report?: boolean,
 *   captures: Row[] }} NoRun
 */

/** @typedef {{ node: string, node_type: string, status: string, result: string | null }} Acted */
/**
 * What a new run of a workflow from a node would do.
 * @typedef {{ workflow: string, last_run_id: string, not_run_again: Acted[], run_again: Acted[], source: string,
 *   to: string | null }} RetryPlan
 */
/** @typedef {Acted & { delivery: Handled | null, capture: string | null, remarks: string[] }} RetryStep */
/**
 * @typedef {{
 *   run: { result: string | null }, in_progress: string | null, steps: RetryStep[], notes: string[]
 * }} Retried
 */
