//! Trials of the whole way of a template: the gallery's cases, and templates made to use up what they are given.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use hookgate::event::{Draft, Stamp};
use hookgate::id::Uuid;
use hookgate::json::{self, Document};
use hookgate::parse;
use hookgate::render::{Context, Diagnostic, Limits, Template};
use hookgate::request::Body;

const JSON: json::Limits = json::Limits { depth_max: 100, nodes_max: 250_000 };
/// What a request's thread has.
const STACK_BYTES: usize = 16 << 20;

/// Renders with names given as JSON text, on a stack as the gateway's.
pub(super) fn render(source: &str, names: &str) -> Result<String, Diagnostic> {
    let document = Document::parse(Bytes::copy_from_slice(names.as_bytes()), JSON);
    let document = Arc::new(document.expect("names are JSON"));
    let source = source.to_owned();
    let work = move || {
        // Builds without optimisation are slower than the clock of a real rendering allows.
        let limits = Limits { time: Limits::default().time * 20, ..Limits::default() };
        Template::compile(&source, limits)?.render_names(&document)
    };
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
    thread.join().expect("a rendering never panics")
}

pub(super) fn shows(source: &str, expected: &str) {
    assert_eq!(render(source, "{}").as_deref(), Ok(expected), "{source}");
}

fn fails(source: &str) -> Diagnostic {
    render(source, "{}").expect_err(source)
}

/// Paths through the body are looked up at once, unless something else may bear its name.
#[test]
fn a_path_through_the_body_means_what_its_steps_mean() {
    let names = r#"{"body": {"a": {"b": "root", "n": null, "s": "text", "l": [1]}, "a.b": "dotted"},
        "other": {"a": {"b": "other"}}}"#;
    let read = "{{ body.a.b }}";
    for (source, expected) in [
        ("{{ body.a.b }}{{ body . a . b }}{{ body.a\n.b }}{{ body['a.b'] }}", "rootrootrootdotted"),
        ("[{{ body.a.n.x }}{{ body.a.s.x.y }}{{ body.x.y }}{{ body.a.l.x }}]", "[]"),
        ("{{ body.a.n }}{{ body.a.l }}{{ body.a.l.0 }}{{ body.a.s.upper() }}", "None[1]1TEXT"),
        ("{{ body.a.items()|length }}{{ (body.a|length) }}{{ body.a.b.__class__ }}", "44"),
        ("{% macro m() %}{{ body.a.b }}{% endmacro %}{{ m() }}{{ m() }}", "rootroot"),
        ("{% for x in [1, 2] %}{{ body.a.b }}{% endfor %}", "rootroot"),
        ("{% set body = other %}{{ body.a.b }}", "other"),
        ("{% for body in [other] %}{{ body.a.b }}{% endfor %}{{ body.a.b }}", "otherroot"),
        ("{% with body = other %}{{ body.a.b }}{% endwith %}{{ body.a.b }}", "otherroot"),
        ("{% macro m(body) %}{{ body.a.b }}{% endmacro %}{{ m(other) }}", "other"),
        ("{% set body %}x{% endset %}[{{ body.a.b }}]", "[]"),
        ("{% block b %}{% set body = other %}{{ body.a.b }}{% endblock %}", "other"),
        (
            "{% if 1 %}{% block b %}{% for body in [other] %}{{ body.a.b }}{% endfor %}{% endblock %}{% endif %}",
            "other",
        ),
        (
            "{% macro m() %}{{ caller(other) }}{% endmacro %}{% call(body) m() %}{{ body.a.b }}{% endcall %}",
            "other",
        ),
    ] {
        assert_eq!(render(source, names).as_deref(), Ok(expected), "{source}");
    }
    assert_eq!(render(read, r#"{"body": "text"}"#).as_deref(), Ok(""));
    assert_eq!(render(read, "{}").as_deref(), Ok(""));
}

/// What is only shown is written at once; what is not may be asked whether it is safe.
#[test]
fn texts_are_joined_and_shown_as_one_by_one() {
    for (source, expected) in [
        ("{{ 'a' ~ 1 ~ none ~ x ~ [2] }}{{ ('a' ~ x ~ 1)|tojson }}", "a1None[2]\"a1\""),
        ("{{ x ~ '<' ~ 1|tojson ~ '<' }}", "<1<"),
        ("{{ ('<' ~ x ~ '\"é')|tojson }}{{ ['<']|tojson }}", r#""\u003c\"\u00e9"["\u003c"]"#),
        (
            "{% autoescape true %}{{ '<' ~ x ~ '&' }}{{ ('<' ~ x)|tojson }}{% endautoescape %}",
            r#"&lt;&amp;"\u003c""#,
        ),
        (
            "{% autoescape true %}{{ x ~ ('<'|safe) ~ '<' }}{{ '<'|tojson }}{% endautoescape %}",
            r#"<&lt;"\u003c""#,
        ),
        ("{% set y = x ~ 1|tojson %}{{ y is escaped }}{{ 1|tojson is escaped }}", "FalseTrue"),
    ] {
        shows(source, expected);
    }
    fails("{{ nothing_there|tojson }}");
    fails("{{ 1|tojson(none, none) }}");
}

struct Request {
    method: Method,
    headers: HeaderMap,
    body: Body,
}

fn request(case: &serde_json::Value) -> Request {
    let mut headers = HeaderMap::new();
    for (name, value) in case["headers"].as_object().expect("headers") {
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value.as_str().expect("text")).expect("text"));
    }
    let body = match case.get("body_json") {
        Some(json) => json.to_string(),
        None => case["body"].as_str().unwrap_or_default().to_owned(),
    };
    let media_type = headers.get("content-type").and_then(|value| value.to_str().ok());
    let body = parse::parse(media_type, Bytes::from(body), JSON).expect("a body");
    let method = case["method"].as_str().expect("a method").parse().expect("a method");
    Request { method, headers, body }
}

/// What becomes of a request: the event as rendered, or the words of an `.error.json`.
fn outcome(source: &str, case: &serde_json::Value) -> Result<serde_json::Value, serde_json::Value> {
    let request = request(case);
    let context = Context::new(&request.method, &request.headers, &request.body);
    let template = Template::compile(source, Limits::default()).expect("it compiles");
    let text = template
        .render(&context)
        .map_err(|fault| serde_json::json!({"error_type": "template", "line": fault.line()}))?;
    let none = || "{}".to_owned();
    let stamp = Stamp {
        id: Uuid::nil(),
        received: hookgate::clock::Time::from_micros(0),
        follows: Uuid::nil(),
        webhook: "{}",
        payload: &none,
    };
    let checked = Draft::read(&text).and_then(|draft| draft.event(&stamp).map(drop));
    checked.map_err(|fault| match fault.line {
        Some(line) => serde_json::json!({"error_type": "json", "line": line}),
        None => serde_json::json!({"error_type": "invalid-event", "pointer": fault.pointer}),
    })?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

fn case_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut found = Vec::new();
    for folder in ["alertmanager", "cloudevents", "github", "stripe"] {
        let cases = fs::read_dir(root.join(folder).join("cases")).into_iter().flatten().flatten();
        found.extend(
            cases
                .map(|case| case.path())
                .filter(|path| path.to_str().is_some_and(|name| name.ends_with(".request.json"))),
        );
    }
    found.sort();
    found
}

#[test]
fn the_gallery_makes_the_events_beside_its_cases() {
    let files = case_files();
    assert!(files.len() >= 10, "cases were found");
    for path in files {
        let read = |path: &Path| fs::read_to_string(path).ok();
        let name = path.to_str().expect("a name");
        let source = read(&path.parent().expect("cases").with_file_name("template.j2"));
        let case = serde_json::from_str(&read(&path).expect("a case")).expect("JSON");
        let found = outcome(&source.expect("a template"), &case);
        let beside = |end: &str| read(Path::new(&name.replace(".request.json", end)));
        let expected = match (beside(".event.json"), beside(".error.json")) {
            (Some(event), _) => Ok(serde_json::from_str(&event).expect("JSON")),
            (_, Some(error)) => Err(serde_json::from_str(&error).expect("JSON")),
            _ => panic!("nothing beside {name}"),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_source_without_tags_is_its_own_rendering() {
    shows("{\"event\": \"x\"}\n", "{\"event\": \"x\"}\n");
    shows("{# not a comment then #}\n", "{# not a comment then #}\n");
    shows("{{ 1 }}{# a comment #}\n", "1");
}

#[test]
fn values_are_written_as_python_writes_them() {
    shows(
        "{{ [true, none, 1.0, 1e16, 1e-7, \"it's\", 'a\"', (1,), {'a': []}] }}",
        "[True, None, 1.0, 1e+16, 1e-07, \"it's\", 'a\"', (1,), {'a': []}]",
    );
    shows(
        "{{ missing.deeper['x'] }}{{ [missing] }}{{ 'é\\u2028' }}{{ ['é\\u2028\\n'] }}",
        "[Undefined]é\u{2028}['é\\u2028\\n']",
    );
    shows(
        "{{ 7 // -2 }} {{ -7 % 3 }} {{ 7 / 7 }} {{ 2 ** 100 }} {{ 10 ** 40 }} {{ 2 ** -1 }}",
        "-4 2 1.0 1267650600228229401496703205376 10000000000000000000000000000000000000000 0.5",
    );
    shows(
        "{{ 'a' ~ 1 ~ none }} {{ 1 < 2 < 3 }} {{ 'b' in 'abc' }} {{ [1, 2] + [3] }}",
        "a1None True True [1, 2, 3]",
    );
    let big =
        "{\"n\": 123456789012345678901234567890123456789012345, \"f\": 1E2, \"n\": 12345678901}";
    assert_eq!(render("{{ n }} {{ f }}", big).as_deref(), Ok("12345678901 100.0"));
}

#[test]
fn tojson_is_python_s() {
    let names = r#"{"x": {"b": 1.0, "a": "<\u00e9'&\u2028\/\ud83d\ude00>", "b": [1e400, -0, 1E2],
        "c": {}, "d": [], "e": null, "big": 123456789012345678901234567890}}"#;
    let expected = "{\"a\": \"\\u003c\\u00e9\\u0027\\u0026\\u2028/\\ud83d\\ude00\\u003e\", \
        \"b\": [Infinity, 0, 100.0], \"big\": 123456789012345678901234567890, \"c\": {}, \
        \"d\": [], \"e\": null}";
    assert_eq!(render("{{ x|tojson }}", names).as_deref(), Ok(expected));
    shows(
        "{{ {'b': [1, {}], 'a': 2}|tojson(indent=1) }}",
        "{\n \"a\": 2,\n \"b\": [\n  1,\n  {}\n ]\n}",
    );
    shows("{{ {1: true, 0: none}|tojson }}", "{\"0\": null, \"1\": true}");
    assert!(fails("{{ [missing]|tojson }}").message.contains("undefined"));
    fails("{{ {1: 1, 'a': 2}|tojson }}");
}

#[test]
fn errors_say_what_and_where() {
    let fault = fails("a\n  {{ 1 + 'ä' }}");
    assert_eq!(fault.message, "cannot add integer and string");
    assert_eq!((fault.line(), fault.column(), fault.is_budget()), (Some(2), Some(6), false));
    let fault = fails("{% if true %}\n{{ x|uper }}\n{% endif %}");
    assert_eq!(fault.message, "there is no filter 'uper'");
    assert_eq!(fault.line(), Some(2));
    let compile = |source: &str| Template::compile(source, Limits::default()).expect_err(source);
    assert_eq!(compile("\n{{ x|uper }}").line(), Some(2));
    assert!(compile("{{ x is evn }}").sentence().contains("'even'"));
    assert_eq!(compile("{% if x %}\n{% endfor %}").line(), Some(2));
    for tag in ["include 'x'", "import 'x' as y", "from 'x' import y", "extends 'x'", "do x()"] {
        assert_eq!(compile(&format!("a\n{{% {tag} %}}")).line(), Some(2), "{tag}");
    }
    assert!(fails("{{ debug() }}").message.contains("debug"));
    assert_eq!(fails("{{ rnage(3) }}").help.as_deref(), Some("did you mean 'range'?"));
}

#[test]
fn numbers_at_the_edge_are_python_s() {
    shows("{{ 5.5|round(-9223372036854775808) }}{{ -5.5|round(-9223372036854775808) }}", "0.0-0.0");
    shows("{{ 5|round(-9223372036854775808) }}", "0");
    shows("{{ (2**31) % (-2**127) }}", "-170141183460469231731687303713736622080");
    shows(
        "{{ (-2**127) % -1 }} {{ (-2**127) // -1 }}",
        "0 170141183460469231731687303715884105728",
    );
    shows("{{ (-1) % (2**127 - 1) }}", "170141183460469231731687303715884105726");
}

#[test]
fn errors_inside_generators_are_told_as_themselves() {
    let abs = "abs needs a number, not string";
    for (source, expected) in [
        ("{{ ['a']|map('abs')|list }}", abs),
        ("{{ ['a']|map('abs') }}{{ ['a']|map('abs')|join }}", abs),
        ("{{ ['a']|map('abs')|first }}", abs),
        ("{{ ['a']|map('abs')|sort }}", abs),
        ("{{ ['a']|map('abs')|sum }}", abs),
        ("{% for x in ['a']|map('abs') %}{{ x }}{% endfor %}", abs),
        ("{% for x in ['a']|map('abs') if x %}{{ x }}{% endfor %}", abs),
        ("{{ [['a']|map('abs')|list] }}", abs),
        ("{{ [1]|map('nope')|list }}", "there is no filter 'nope'"),
        ("{{ [1]|selectattr('a', 'nope')|list }}", "there is no test 'nope'"),
        ("{{ [1]|rejectattr('a', 'nope')|list }}", "there is no test 'nope'"),
        ("{{ [1]|reject('nope')|list }}", "there is no test 'nope'"),
    ] {
        let fault = fails(source);
        assert_eq!((&*fault.message, fault.is_budget()), (expected, false), "{source}");
    }
    let fault = fails("{{ ['a']|map('uper')|list }}");
    assert_eq!(fault.help.as_deref(), Some("did you mean 'upper'?"));
    assert!(!fails("{{ ['1']|select('divisibleby', 2)|list }}").message.contains("4300"));
    let long = format!(r#"{{"n": [{}]}}"#, "1".repeat(5000));
    let fault = render("{{ n|map('abs')|list }}", &long).expect_err("too long");
    assert!(fault.message.contains("4300 digits"), "{}", fault.message);
}

#[test]
fn headers_know_no_case_and_no_secret() {
    let names = r#"{"headers": {"X-Event": "push", "Authorization": "Bearer x", "a": "1"}}"#;
    let source = "{{ headers['x-EVENT'] }} {{ headers.get('X-Event') }} {{ headers }} \
        {{ headers|tojson }} {{ headers.authorization }}{{ headers.x or 'none' }}";
    let expected =
        "push push {'x-event': 'push', 'a': '1'} {\"a\": \"1\", \"x-event\": \"push\"} none";
    assert_eq!(render(source, names).as_deref(), Ok(expected));
}

/// A template that uses up a budget, or is refused before it can.
fn bomb(source: &str) {
    let fault = fails(source);
    assert!(fault.is_budget(), "{}: {fault:?}", &source[..source.len().min(80)]);
}

/// A template that does what Python does not allow.
fn refused(source: &str) {
    let fault = fails(source);
    assert!(!fault.is_budget(), "{}: {fault:?}", &source[..source.len().min(80)]);
}

#[test]
fn repeated_work_ends() {
    let doubling = |step: &str, last: &str| {
        let rounds = "{% for i in range(100) %}";
        format!(
            "{{% set ns = namespace(s=[1]) %}}{rounds}{{% set ns.s = {step} %}}{{% endfor %}}{last}"
        )
    };
    bomb(&doubling("ns.s + ns.s", "{{ ns.s }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s|tojson }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s == [ns.s[0], ns.s[1]] }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s ~ '' }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s|string }}"));
    bomb(&doubling("[ns.s, ns.s]", "{{ ns.s < ns.s }}"));
    bomb(&doubling("ns.s ~ ns.s", "{{ ns.s|length }}"));
    bomb(
        "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{% for i in range(100) %}{{ 'a' * 100000 }}{% endfor %}",
    );
    bomb(
        "{% for a in range(100) %}{% for b in range(100) %}{{ 'abcdefgh' * 40 }}{% endfor %}{% endfor %}",
    );
}

#[test]
fn large_values_are_not_made() {
    bomb("{{ 'a' * 10 ** 9 }}");
    bomb("{{ 10 ** 18 * 'ab' }}");
    bomb("{{ [0] * 10 ** 8 }}");
    bomb("{{ (0,) * 10 ** 18 }}");
    refused("{{ 2 ** 1000000000 }}");
    refused("{{ 10 ** (10 ** 10) }}");
    refused("{{ 10 ** 5000 }}");
    refused("{{ range(101) }}");
    refused("{{ range(10 ** 18) }}");
    refused("{{ [[1]]|tojson(indent=10 ** 9) }}");
    refused("{{ [[1]]|tojson(indent=17) }}");
    shows("{{ [] * 10 ** 18 }}{{ '' * 10 ** 18 }}", "[]");
}

#[test]
fn deep_values_end() {
    let source = "{% set ns = namespace(s=[]) %}{% for a in range(100) %}{% for b in range(100) %}\
        {% set ns.s = [ns.s] %}{% endfor %}{% endfor %}";
    refused(&format!("{source}{{{{ ns.s }}}}"));
    refused(&format!("{source}{{{{ ns.s|tojson }}}}"));
    refused(&format!("{source}{{{{ ns.s == [ns.s] }}}}"));
    shows(&format!("{source}{{{{ ns.s|length }}}}"), "1");
    refused("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}");
    shows("{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns == ns }}", "True");
}

#[test]
fn recursion_ends() {
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    refused("{% for x in [[]] recursive %}{{ loop([[]]) }}{% endfor %}");
    refused("{% block b %}{{ self.b() }}{% endblock %}");
    refused("{% for x in [1] %}{{ loop.cycle() }}{% endfor %}");
    refused("{% for x in [1] %}{{ loop.cycle(*[]) }}{% endfor %}");
    bomb(
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    );
}

#[test]
fn long_chains_are_refused_before_they_are_parsed() {
    for step in ["not ", "-", "1+", "1~", "1**", "1 and ", "1 if 0 else ", "[", "(", "x(", "x["] {
        fails(&format!("{{{{ {}1 }}}}", step.repeat(5000)));
    }
    for step in ["|e", ".b", "[0]", "()", " is odd", " == 1", " not in x"] {
        fails(&format!("{{{{ x{} }}}}", step.repeat(5000)));
    }
    bomb(&format!("{{{{ {}1 }}}}", "1+".repeat(501)));
    shows(&format!("{{{{ {}1 }}}}", "1+".repeat(499)), "500");
    bomb(&format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(201)));
    shows(&format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(199)), "");
    fails(&"{% if 1 %}".repeat(2500));
    fails(&format!("{{{{ {}1{} }}}}", "(1+1+1+1+1+1+1+1+1,".repeat(60), ")+1+1+1+1".repeat(60)));
    let long = format!("{{{{ [{}] }}}}", "-1,".repeat(2000));
    assert!(render(&long, "{}").is_ok(), "siblings are no chain");
}

#[test]
fn sources_and_loops_are_bounded() {
    bomb(&format!("{{{{ 1 }}}}{}", "x".repeat(30_000)));
    bomb(&format!("{{{{ 1 }}}}{}", "😀".repeat(29_995)));
    bomb(&"x".repeat(30_001));
    let loops = |count: usize| "{% for x in [] %}{% endfor %}".repeat(count);
    bomb(&loops(11));
    shows(&loops(10), "");
    let nested = |depth: usize| {
        format!("{}{}", "{% for x in [] %}".repeat(depth), "{% endfor %}".repeat(depth))
    };
    bomb(&nested(3));
    shows(&nested(2), "");
}

#[test]
fn formats_are_no_wider_than_a_bound() {
    for width in ["10001", "1000000000", "99999999999999999999"] {
        refused(&format!("{{{{ '%{width}d' % 1 }}}}"));
        refused(&format!("{{{{ '%.{width}f' % 1 }}}}"));
        refused(&format!("{{{{ '%*d' % ({width}, 1) }}}}"));
        refused(&format!("{{{{ '%.*d' % ({width}, 1) }}}}"));
        refused(&format!("{{{{ '{{:{width}}}'.format(1) }}}}"));
        refused(&format!("{{{{ '{{:>{width}}}'.format('x') }}}}"));
        refused(&format!("{{{{ '{{:.{width}f}}'.format(1) }}}}"));
        refused(&format!("{{{{ '{{:{{}}}}'.format(1, {width}) }}}}"));
    }
    refused("{{ '%*d' % (-2 ** 127, 1) }}");
    bomb(&format!("{{{{ '{}'.format(1) }}}}", "{0:9999}".repeat(3000)));
    bomb(&format!("{{{{ '{}' % {{'a': 1}} }}}}", "%(a)9999d".repeat(3000)));
    shows("{{ ('%10000d' % 1)|length }}", "10000");
}

#[test]
fn sorting_without_an_order_ends() {
    let numbers = |count: usize| {
        let all = (0..count)
            .map(|n| if n % 3 == 0 { "\"nan\"".into() } else { (n * 7 % 100).to_string() });
        format!("{{\"xs\": [{}]}}", all.collect::<Vec<_>>().join(", "))
    };
    for count in [2, 63, 64, 65, 1000] {
        let made = render("{{ xs|map('float')|list|sort|length }}", &numbers(count));
        assert_eq!(made.expect("sorted"), count.to_string());
    }
}

#[test]
fn keys_may_start_with_an_underscore() {
    let names = r#"{"d": {"_id": 7, "__v": 8, "__class__": 9, "__len__": 1, "__x__": 2}}"#;
    let source = "{{ d._id }}{{ d.__v }}{{ d.__class__ }}{{ d.__len__ }}{{ d.__x__ }}{{ d['__class__'] }}\
                  {{ '{0._id}'.format(d) }}{{ d|attr('_id') }}{{ [1]._id }}{{ 'x'.__class__ }}";
    assert_eq!(render(source, names).as_deref(), Ok("78297"));
}

#[test]
fn layouts_end() {
    let shared = "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}\
                  {% endfor %}";
    bomb(&format!("{shared}{{{{ ns.s|pprint }}}}"));
    bomb(&format!("{shared}{{{{ '%s' % ns.s }}}}"));
    bomb(&format!("{shared}{{{{ '{{!r}}'.format(ns.s) }}}}"));
    bomb(&format!("{shared}{{{{ ns.s|humanize_intcomma }}}}"));
    let keyed = "{% set ns = namespace(s=['x' * 90]) %}{% for i in range(90) %}\
                 {% set ns.s = {'k' * 9000: ns.s, 'l': 1} %}{% endfor %}";
    bomb(&format!("{keyed}{{{{ ns.s|pprint }}}}"));
    bomb("{{ (['a'] * 100000)|join(' ')|wordwrap(1, wrapstring='x' * 9000) }}");
    bomb("{{ ('a' * 30000000)|wordwrap(1) }}");
    bomb("{{ ('-' * 3000000)|wordwrap(1)|wordwrap(1)|wordwrap(1) }}");
    shows("{{ ('a--' * 3000)|wordwrap(7)|length }}", "10499");
    bomb("{{ ('ab ' * 300000)|pprint|pprint|pprint|pprint }}");
    refused("{{ 'a'|wordwrap('nan'|float) }}");
    refused("{{ 5|humanize_scientific(10 ** 9) }}");
    refused("{{ 5|humanize_metric('V', 10 ** 9) }}");
    refused("{{ 5|humanize_intcomma(10 ** 9) }}");
    refused("{{ 5000|humanize_naturalsize(format='%1000000000d') }}");
}

#[test]
fn a_long_form_costs_what_its_json_costs() {
    let fields: Vec<String> = (0..5000).map(|place| format!("k{place}=v{place}")).collect();
    let form = Bytes::from(fields.join("&"));
    let body = parse::parse(Some("application/x-www-form-urlencoded"), form, JSON).expect("a form");
    let headers = HeaderMap::new();
    let context = Context::new(&Method::POST, &headers, &body);
    for source in ["{{ body|tojson }}", "{{ body }}", "{{ body.items()|list|length }}"] {
        let work = || Template::compile(source, Limits::default())?.render(&context);
        let made = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
            thread.expect("a thread").join().expect("a rendering never panics")
        });
        assert!(made.is_ok(), "{source}: {:?}", made.map_err(|fault| fault.to_string()));
    }
}
