r"""The functions of jq 1.5, which the agent's pyjq 2.6 contains, and the definitions that newer versions changed.

NAMES lists the functions that an expression may call. Any other name is a compile error in the agent. DEFINITIONS has
the functions that work differently in jq 1.5, as programs for port-hook's jq. Many of these definitions come from jq
1.5's builtin.c (see jq15-LICENSE.txt). Functions whose names begin with `__ph_` belong to port-hook, and expressions
cannot call them.
"""

from __future__ import annotations

import re
from functools import cache

NUMERIC = frozenset(
    {
        "acos/0", "acosh/0", "asin/0", "asinh/0", "atan/0", "atanh/0", "cbrt/0", "cos/0", "cosh/0", "exp/0", "exp2/0",
        "floor/0", "j0/0", "j1/0", "log/0", "log10/0", "log2/0", "sin/0", "sinh/0", "sqrt/0", "tan/0", "tanh/0",
        "tgamma/0", "y0/0", "y1/0", "atan2/2", "hypot/2", "pow/2", "remainder/2", "infinite/0", "nan/0",
    }
)  # fmt: skip
"""Functions whose results can be infinite, or not a number."""

NAMES = NUMERIC | frozenset(
    {
        "add/0", "all/0", "all/1", "all/2", "any/0", "any/1", "any/2", "arrays/0", "ascii_downcase/0",
        "ascii_upcase/0", "booleans/0", "bsearch/1", "capture/1", "capture/2", "combinations/0", "combinations/1",
        "contains/1", "debug/0", "del/1", "delpaths/1", "empty/0", "endswith/1", "env/0", "error/0", "error/1",
        "explode/0", "finites/0", "first/0", "first/1", "flatten/0", "flatten/1", "format/1", "from_entries/0",
        "fromdate/0", "fromdateiso8601/0", "fromjson/0", "fromstream/1", "get_jq_origin/0", "get_prog_origin/0",
        "get_search_list/0", "getpath/1", "gmtime/0", "group_by/1", "gsub/2", "gsub/3", "has/1", "implode/0", "in/1",
        "index/1", "indices/1", "input/0", "input_filename/0", "input_line_number/0", "inputs/0", "inside/1",
        "isfinite/0", "isinfinite/0", "isnan/0", "isnormal/0", "iterables/0", "join/1", "keys/0", "keys_unsorted/0",
        "last/0", "last/1", "leaf_paths/0", "length/0", "limit/2", "ltrimstr/1", "map/1", "map_values/1", "match/1",
        "match/2", "max/0", "max_by/1", "min/0", "min_by/1", "mktime/0", "modulemeta/0", "normals/0", "not/0",
        "now/0", "nth/1", "nth/2", "nulls/0", "numbers/0", "objects/0", "path/1", "paths/0", "paths/1", "range/1",
        "range/2", "range/3", "recurse/0", "recurse/1", "recurse/2", "recurse_down/0", "repeat/1", "reverse/0",
        "rindex/1", "rtrimstr/1", "scalars/0", "scalars_or_empty/0", "scan/1", "select/1", "setpath/2", "sort/0",
        "sort_by/1", "split/1", "split/2", "splits/1", "splits/2", "startswith/1", "stderr/0", "strftime/1",
        "strings/0", "strptime/1", "sub/2", "sub/3", "test/1", "test/2", "to_entries/0", "todate/0",
        "todateiso8601/0", "tojson/0", "tonumber/0", "tostream/0", "tostring/0", "transpose/0", "truncate_stream/1",
        "type/0", "unique/0", "unique_by/1", "until/2", "values/0", "while/2", "with_entries/1",
    }
)  # fmt: skip
"""The functions of jq 1.5, with the number of their arguments."""

CRASHING = frozenset({"debug/0", "input/0", "inputs/0"})
"""Functions that read memory that pyjq has not set, so that the agent's process may crash."""

FORMATS = frozenset({"text", "json", "csv", "tsv", "html", "uri", "sh", "base64"})

# Where jq 1.5 crashes or hangs, port-hook's jq runs `halt`. The program then ends without a result, which no `try` or
# `//` hides.
_SOURCE = r"""
def __ph_hang: halt;
def __ph_crash: halt;
def __ph_doubles: if type == "number" then . + 0 elif type == "array" or type == "object" then .[] |= __ph_doubles
  else . end;
def __ph_special: if type == "number" and (isnan or isinfinite) then
    {"\u0000port-hook": (if isnan then "nan" elif . > 0 then "inf" else "-inf" end)}
  elif type == "array" or type == "object" then .[] |= __ph_special else . end;
def __ph_key: if type == "number" and (. != floor or . > 2147483647 or . < -2147483648) then 2147483647 else . end;
def __ph_repeat($text; $times): if $times <= 0 or ($times | isnan) then null
  else reduce range(1; if $times < 1 then 1 else $times | floor end) as $i ($text; . + $text) end;
def __ph_times(a; b): b as $b | a as $a
  | if ($a | type) == "string" and ($b | type) == "number" then __ph_repeat($a; $b)
    elif ($a | type) == "number" and ($b | type) == "string" then __ph_repeat($b; $a) else $a * $b end;
def __ph_alternative(a; b): (a | select(.)), (if [label $found | (a | select(.)) | (0, break $found)] == [] then b
  else empty end);
def __ph_modify(paths; update): reduce path(paths) as $p (.; setpath($p; getpath($p) | update));
def __ph_uri: @uri | reduce (["%21", "!"], ["%2A", "*"], ["%27", "'"], ["%28", "("], ["%29", ")"]) as $each
  (.; split($each[0]) | join($each[1]));
def __ph_html: @html | split("&#39;") | join("&apos;");
def __ph_cut: if utf8bytelength <= 14 then . else . as $s
  | [range(11; -1; -1) | select($s[:.] | utf8bytelength <= 11)][0] as $n | $s[:$n] + "..." end;
def __ph_message: if type != "string" then .
  elif startswith("Array/string slice indices") then "Start and end indices of an array slice must be numbers"
  else [capture("^Cannot index (?<of>[a-z]+) with (?<kind>[a-z]+) \\((?<key>.*)\\)$")][0] as $index
  | if $index == null then
      gsub("(?<kind>[a-z]+) \\((?<value>.*?)\\)(?= and | can| is not| has no| number| only|$)";
        "\(.kind) (\(.value | __ph_cut))")
    elif $index.kind != "string" then "Cannot index \($index.of) with \($index.kind)"
    elif $index.key | endswith("...\"") then "Cannot index \($index.of) with string"
    else "Cannot index \($index.of) with string \"\($index.key | fromjson)\"" end end;
def __ph_error(m): error(m);
def error(m): m as $m | if $m == null then empty else __ph_error($m) end;
def error: error(.);
def format(f): f as $f | if $f == "uri" then __ph_uri elif $f == "html" then __ph_html
  elif ["text", "json", "csv", "tsv", "sh", "base64"] | [.[] == $f] | any then format($f)
  else error(if $f | type == "string" then "\($f) is not a valid format" else "it is not a valid format" end) end;
def debug: __ph_crash;
def input: __ph_crash;
def inputs: __ph_crash;
def stderr: .;
def env: $__ph_environment;
def input_filename: null;
def input_line_number: error("Unknown input line number");
def get_search_list: [];
def get_prog_origin: empty;
def get_jq_origin: empty;
def modulemeta: error("there are no modules");
def __ph_isinfinite: isinfinite;
def __ph_isnan: isnan;
def __ph_isnormal: isnormal;
def isinfinite: type == "number" and __ph_isinfinite;
def isnan: type == "number" and __ph_isnan;
def isnormal: type == "number" and __ph_isnormal;
def isfinite: type == "number" and (isinfinite | not);
def normals: select(isnormal);
def finites: select(isfinite);
def map_values(f): __ph_modify(.[]; f);
def recurse(f): def r: ., (f | select(. != null) | r); r;
def recurse(f; cond): def r: ., (f | select(cond) | r); r;
def recurse: recurse(.[]?);
def recurse_down: recurse;
def to_entries: [keys_unsorted[] as $k | {key: $k, value: .[$k]}];
def from_entries: map({(__ph_alternative(.key; __ph_alternative(.Key; .Name))):
  (if has("value") then .value else .Value end)}) | add | __ph_alternative(.; {});
def with_entries(f): to_entries | map(f) | from_entries;
def reverse: [.[length - 1 - range(0; length)]];
def __ph_strindices($i): _strindices($i);
def _strindices($i): if $i == "" then __ph_hang else . as $s
  | reduce __ph_strindices($i)[] as $at ({out: [], next: 0};
      if $at < .next then . else .out += [$at] | .next = $at + ($i | length) end)
  | .out | map($s[:.] | utf8bytelength) end;
def indices($i): if type == "array" and ($i | type) == "array" then .[$i]
  elif type == "array" then .[[$i]]
  elif type == "string" and ($i | type) == "string" then _strindices($i)
  else .[$i] end;
def index($i): indices($i) | .[0];
def rindex($i): indices($i) | .[-1:][0];
def paths: path(recurse(if (type|. == "array" or . == "object") then .[] else empty end))|select(length > 0);
def paths(node_filter): . as $dot|paths|select(. as $p|$dot|getpath($p)|node_filter);
def leaf_paths: paths(scalars);
def any(generator; condition): [label $out | foreach generator as $i (false;
  if . then break $out elif $i | condition then true else . end; if . then . else empty end)] | length == 1;
def any(condition): any(.[]; condition);
def any: any(.);
def all(generator; condition): [label $out | foreach generator as $i (true;
  if .|not then break $out elif $i | condition then . else false end; if .|not then . else empty end)] | length == 0;
def all(condition): all(.[]; condition);
def all: all(.);
def scalars_or_empty: select(. == null or . == true or . == false or type == "number" or type == "string"
  or ((type=="array" or type=="object") and length==0));
def join($x): __ph_alternative(
  reduce .[] as $i (null; (. // "") + (if . == null then $i else $x + $i end)); "");
def __ph_getpath(p): getpath(p);
def getpath(p): p as $p | [__ph_getpath($p)] | .[0];
def __ph_tonumber: tonumber;
def __ph_invalid: error("Invalid \(if .[:1] | . == "t" or . == "f" or . == "n" then "" else "numeric " end)literal"
  + " at EOF at line 1, column \(utf8bytelength) (while parsing '\(.)')");
def tonumber: if type != "string" then __ph_tonumber
  else explode as $all | ([$all | keys[] | select($all[.] | . != 32 and . != 9 and . != 10 and . != 13)]) as $used
  | if $used == [] then error("Expected JSON value (while parsing '\(.)')")
    else $all[$used[0]:$used[-1] + 1] | implode
    | if explode[0] | (. >= 48 and . <= 57) or . == 45 or . == 43 or . == 46 then (try __ph_tonumber catch null) as $n
      | if $n == null or ($n | isnan) then __ph_invalid else $n + 0 end
      else __ph_invalid end end end;
def __ph_fromjson: fromjson;
def fromjson: __ph_fromjson | if [recurse(.[]?; true) | numbers | select(isnan)] == [] then __ph_doubles
  else error("Invalid literal") end;
def __ph_delpaths(p): delpaths(p);
def delpaths(p): p as $p | if $p | type == "array" then __ph_delpaths($p) else __ph_crash end;
def __ph_implode: implode;
def implode: if type != "array" then __ph_implode
  elif [.[] | select(type != "number" or . <= -1)] != [] then __ph_crash
  elif [.[] | select(. >= 55296 and . < 57344)] != [] then error("UnicodeDecodeError: invalid continuation byte")
  else map(floor) | __ph_implode end;
def __ph_ltrimstr(x): ltrimstr(x);
def __ph_rtrimstr(x): rtrimstr(x);
def ltrimstr(x): x as $x | if type == "string" and ($x | type) == "string" then __ph_ltrimstr($x) else . end;
def rtrimstr(x): x as $x | if type == "string" and ($x | type) == "string" then __ph_rtrimstr($x) else . end;
def remainder(a; b): drem(a; b);
def ascii_downcase: explode | map(if 65 <= . and . <= 90 then . + 32 else . end) | implode;
def ascii_upcase: explode | map(if 97 <= . and . <= 122 then . - 32 else . end) | implode;
def __ph_time: type == "array" and length >= 8 and ([.[:8][] | select(type != "number")] == []);
def __ph_mktime: mktime;
def mktime: if __ph_time then __ph_mktime | if . == -1 then error("invalid gmtime representation") else . end
  else error("mktime requires \(if type == "array" then "parsed datetime" else "array" end) inputs") end;
def __ph_strftime(f): strftime(f);
def __ph_zone: split("%%") | map(split("%Z") | join("UTC")) | join("%%");
def __ph_strptime(f): strptime(f);
def strptime(f): f as $f | __ph_strptime($f) | if .[2] == 0 and .[0] == 1900 then
    if .[7] == 367 then .[7] = 0 else . end | if .[6] == 8 then .[6] = 0 else . end else . end
  | if .[2] == 0 and ([$f | match("%[^HIMSTRrpnt%]")] == []) then (.[:8] | __ph_mktime | gmtime) + .[8:] else . end;
def strftime(f): f as $f | if type != "number" and (__ph_time | not)
    then error("strftime/1 requires parsed datetime inputs")
  elif $f | type != "string" then __ph_crash
  else __ph_strftime($f | __ph_zone) | if . == "" then error("strftime/1: unknown system failure") else . end end;
def fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ")|mktime;
def todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def fromdate: fromdateiso8601;
def todate: todateiso8601;
def __ph_match_impl(re; mode; test): _match_impl(re; mode; test);
def __ph_match($re; $mode): . as $s | __ph_match_impl($re; $mode; false)
  | if [.[] | select(.length == 0)] == [] then .
    elif ($mode | type) != "string" or ([$mode | explode[] | select(. == 103)] == []) then
      map(if .length == 0 then .captures = [] else . end)
    else ($s | utf8bytelength) as $total
    | reduce .[] as $m ({out: [], at: 0, last: null};
        if $m.length > 0 then .out += [$m] | .at = ($s[:$m.offset + $m.length] | utf8bytelength) | .last = null
        elif .last == $m.offset then __ph_crash
        else ($s[:$m.offset] | utf8bytelength) as $p
        | (if $p < .at then 0 elif $p < $total then $p - .at + 1 elif $total == 0 then 1 else $total - .at end) as $n
        | .out += [range($n) | $m | .captures = []] | .at = $p + 1 | .last = $m.offset end)
    | .out end;
def match(re; mode): mode as $mode | re as $re | __ph_match($re; $mode) | .[];
def match($val): ($val|type) as $vt | if $vt == "string" then match($val; null)
   elif $vt == "array" and ($val | length) > 1 then match($val[0]; $val[1])
   elif $vt == "array" and ($val | length) > 0 then match($val[0]; null)
   else error( $vt + " not a string or array") end;
def test(re; mode): __ph_match_impl(re; mode; true);
def test($val): ($val|type) as $vt | if $vt == "string" then test($val; null)
   elif $vt == "array" and ($val | length) > 1 then test($val[0]; $val[1])
   elif $vt == "array" and ($val | length) > 0 then test($val[0]; null)
   else error( $vt + " not a string or array") end;
def capture(re; mods): match(re; mods)
  | reduce ( .captures | .[] | select(.name != null) | { (.name) : .string } ) as $pair ({}; . + $pair);
def capture($val): ($val|type) as $vt | if $vt == "string" then capture($val; null)
   elif $vt == "array" and ($val | length) > 1 then capture($val[0]; $val[1])
   elif $vt == "array" and ($val | length) > 0 then capture($val[0]; null)
   else error( $vt + " not a string or array") end;
def scan(re): match(re; "g") | if (.captures|length > 0) then [ .captures | .[] | .string ] else .string end;
def __ph_pairs: if length <= 2 then . else .[0:2], (.[2:] | __ph_pairs) end;
def splits($re; flags): . as $s | [ match($re; "g" + flags) | (.offset, .offset + .length) ]
  | [0] + . +[$s|length] | __ph_pairs | $s[.[0]:.[1] ];
def splits($re): splits($re; null);
def __ph_split(s): split(s);
def split($re; flags): [ splits($re; flags) ];
def sub($re; s; flags): def subg: explode | select(. != 103) | implode;
  def sub1(fla; gs): def mysub: . as $in | [match($re; fla)] | if length == 0 then $in
      else .[0] as $edit | ($edit | .offset + .length) as $len
      | (if gs and $len == 0 then __ph_hang else . end)
      | reduce ( $edit | .captures | .[] | select(.name != null) | { (.name) : .string } ) as $pair ({}; . + $pair)
      | $in[0:$edit.offset] + s + ($in[$len:] | if gs then mysub else . end) end;
    mysub;
  (flags | index("g")) as $gs | (flags | if $gs then subg else . end) as $fla | sub1($fla; $gs);
def sub($re; s): sub($re; s; "");
def gsub($re; s; flags): sub($re; s; flags + "g");
def gsub($re; s): sub($re; s; "g");
def __ph_range(a; b): range(a; b);
def range(from; upto): from as $from | foreach upto as $upto ([$from, $from];
  [.[1], if ($upto | type) == "number" and .[1] < $upto then .[1] + ($upto - .[1] | ceil) else .[1] end];
  __ph_range(.[0]; $upto));
def range($upto): __ph_range(0; $upto);
def range($init; $upto; $by): def _range:
    if ($by > 0 and . < $upto) or ($by < 0 and . > $upto) then ., ((.+$by)|_range) else . end;
  if $by == 0 then $init else $init|_range end | select(($by > 0 and . < $upto) or ($by < 0 and . > $upto));
def while(cond; update): def _while: if cond then ., (update | _while) else empty end; _while;
def until(cond; next): def _until: if cond then . else (next|_until) end; _until;
def limit($n; exp): if $n < 0 then exp else label $out | foreach exp as $item
  ([$n, null]; if .[0] < 1 then break $out else [.[0] -1, $item] end; .[1]) end;
def first(g): label $out | foreach g as $item
  ([false, null]; if .[0]==true then break $out else [true, $item] end; .[1]);
def last(g): reduce g as $item (null; $item);
def nth($n; g): if $n < 0 then error("nth doesn't support negative indices") else last(limit($n + 1; g)) end;
def first: .[0];
def last: .[-1];
def nth($n): .[$n | __ph_key];
def combinations: if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $y | [$x] + $y end;
def combinations(n): . as $dot | [range(n) | $dot] | combinations;
def transpose: if . == [] then [] else . as $in | (map(length) | max) as $max | length as $length
  | reduce range(0; $max) as $j ([]; . + [reduce range(0;$length) as $i ([]; . + [ $in[$i][$j] ] )] ) end;
def in(xs): . as $x | xs | has($x);
def inside(xs): . as $x | xs | contains($x);
def repeat(exp): def _repeat: exp, _repeat; _repeat;
def truncate_stream(stream): . as $n | null | stream | . as $input
  | if (.[0]|length) > $n then setpath([0];$input[0][1:]) else empty end;
def fromstream(i): foreach i as $item ([null,false,null,false];
    if ($item[0]|length) == 0 then [null,false,.[2],.[3]]
    elif ($item|length) == 1 and ($item[0]|length) < 2 then [null,false,.[0],.[1]] else . end |
    . as $state |
    if ($item|length) > 1 and ($item[0]|length) > 0 then
      [.[0]|setpath(($item|.[0]); ($item|.[1])), true, $state[2], $state[3]] else . end;
    if ($item[0]|length) == 1 and ($item|length == 1) and .[3] then .[2] else empty end,
    if ($item[0]|length) == 0 then $item[1] else empty end);
def tostream: {string:true,number:true,boolean:true,null:true} as $leaf_types | . as $dot |
  if $leaf_types[$dot|type] or length==0 then [[],$dot]
  else keys as $keys | $keys[-1] as $last |
    (( $keys[] | . as $key | $dot[$key] | . as $dot | tostream|.[0] |= [$key]+.), [[$last]]) end;
def bsearch(target): if length == 0 then -1
  elif length == 1 then if target == .[0] then 0 elif target < .[0] then -1 else -2 end
  else . as $in | [0, length-1, null]
    | until( .[0] > .[1] ; if .[2] != null then (.[1] = -1)
             else ( ( (.[1] + .[0]) / 2 ) | floor ) as $mid | $in[$mid] as $monkey
               | if $monkey == target  then (.[2] = $mid) elif .[0] == .[1] then (.[1] = -1)
                 elif $monkey < target then (.[0] = ($mid + 1)) else (.[1] = ($mid - 1)) end
             end )
    | if .[2] == null then if $in[ .[0] ] < target then (-2 -.[0]) else (-1 -.[0]) end else .[2] end
  end;
"""
_DEFINITION = re.compile(r"^def (\w+).*?(?=^def |\Z)", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"@?\w+")
DEFINITIONS = tuple((match[1], match[0]) for match in _DEFINITION.finditer(_SOURCE))
"""The name and the source of each function that differs. Each function calls only functions before it."""


def definitions_of(names: frozenset[str]) -> str:
    """Return the sources of the functions with these names, and of the functions that they call."""
    needed = frozenset().union(*(_called(name) for name in names)) if names else frozenset()
    return "".join(source for name, source in DEFINITIONS if name in needed)


@cache
def _called(name: str) -> frozenset[str]:
    """Return the name of a function and the names of the functions that it calls, if the function differs in jq 1.5."""
    known = {each for each, _ in DEFINITIONS}
    found, left = set[str](), {name} & known
    while left:
        found |= left
        words = {word for each, source in DEFINITIONS if each in left for word in _WORD.findall(source)}
        left = (words & known) - found
    return frozenset(found)
