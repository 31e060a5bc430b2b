//! Tests of pipelines and named lists.

use crate::config::Step;
use crate::config::tests::{entries, errors, parsed};

/// Entries `a` to `c`, these lists, and a listener `l` with this pipeline.
fn text(lists: &str, pipeline: &str) -> String {
    format!(
        "[plugins.a]\n[plugins.b]\n[plugins.c]\n[pipelines]\n{lists}\n\
         [listeners.l]\naddress = '127.0.0.1:0'\npipeline = {pipeline}\n"
    )
}

#[test]
fn a_list_is_put_in_where_it_is_named_with_its_own_lists() {
    let text = text(
        "outer = ['a', '@inner', 'c']\ninner = ['b']",
        "['c', '@outer', '@inner']",
    );
    let pipeline = &parsed(&text).listeners[0].pipeline;
    assert_eq!(entries(pipeline), [2, 0, 1, 2, 1]);
    let lists: Vec<String> = pipeline.iter().map(|element| element.lists.join(" ")).collect();
    assert_eq!(lists, ["", "outer", "outer inner", "outer", "inner"]);
    let places: Vec<_> = pipeline
        .iter()
        .map(|element| (element.origin.line, element.origin.column))
        .collect();
    assert_eq!(places, [(9, 13), (5, 10), (6, 10), (5, 25), (6, 10)]);
}

#[test]
fn an_entry_with_overrides_in_a_list_is_one_entry_for_all_who_use_the_list() {
    let text = text(
        "base = ['a', { plugin = 'b', cpu = '7ms' }]",
        "['@base', '@base']",
    ) + "[[routes]]\nname = 'r'\npipeline = ['@base', { plugin = 'b', cpu = '8ms' }]\nupstream.plugin = 'c'\n";
    let config = parsed(&text);
    let names: Vec<_> = config.plugins.iter().map(|entry| &*entry.name).collect();
    assert_eq!(names, ["a", "b", "c", "b@pipelines.base#1", "b@r#1"]);
    assert_eq!(entries(&config.listeners[0].pipeline), [0, 3, 0, 3]);
    assert_eq!(entries(&config.routes[0].pipeline), [0, 3, 4]);
}

#[test]
fn an_any_has_names_and_entries_with_overrides() {
    let text = text(
        "",
        "['a', { any = ['b', { plugin = 'a', cpu = '7ms' }, { plugin = 'c' }] }]",
    );
    let config = parsed(&text);
    let steps: Vec<_> = config.listeners[0]
        .pipeline
        .iter()
        .map(|e| e.step.clone())
        .collect();
    assert_eq!(steps, [Step::Stage(0), Step::Any(vec![1, 3, 2])]);
    assert_eq!(&*config.plugins[3].name, "a@l#1.1");
}

#[test]
fn what_an_any_cannot_be_is_refused() {
    let text = text(
        "base = ['a']",
        "[\n{ any = ['a'] },\n{ any = ['a', '@base'] },\n{ any = ['a', { any = ['b', 'c'] }] },\n\
         { any = ['a', 'a'] },\n{ any = 'a' },\n{ any = ['a', 'b'], cpu = '1ms' },\n{ any = ['a', 'd'] },\n\
         { any = ['a', { plugin = 'b', grant = 1 }] },\n]",
    );
    insta::assert_snapshot!(errors(&text), @"
    error: `any` must have 2 to 8 elements, not 1
     --> gateway.toml:9:1
      |
    9 | { any = ['a'] },
      | ^^^^^^^^^^^^^^^

    error: an element of `any` cannot be a list
      --> gateway.toml:10:15
       |
    10 | { any = ['a', '@base'] },
       |               ^^^^^^^
       = help: name the entries of the list one by one

    error: an `any` cannot stand in another
      --> gateway.toml:11:15
       |
    11 | { any = ['a', { any = ['b', 'c'] }] },
       |               ^^^^^^^^^^^^^^^^^^^^
       = help: put its elements into the outer one

    error: the entry stands in this `any` already
      --> gateway.toml:12:15
       |
    12 | { any = ['a', 'a'] },
       |               ^^^

    error: `any` must be a list, not a string
      --> gateway.toml:13:9
       |
    13 | { any = 'a' },
       |         ^^^

    error: unknown key `cpu` in `pipeline[5]`
      --> gateway.toml:14:21
       |
    14 | { any = ['a', 'b'], cpu = … },
       |                     ^^^
       = help: possible keys: any

    error: unknown plugin `d`
      --> gateway.toml:15:15
       |
    15 | { any = ['a', 'd'] },
       |               ^^^
       = help: did you mean `a`?

    error: unknown key `grant` in `pipeline[7].any[1]`
      --> gateway.toml:16:31
       |
    16 | { any = ['a', { plugin = 'b', grant = … }] },
       |                               ^^^^^
       = help: possible keys: body-overflow, config, cpu, max-age, max-body, max-calls, max-decoded-ratio, max-instances, max-leases, max-memory, max-outbound, on-fault, plugin, shared, timeout
    ");
}

#[test]
fn a_list_that_contains_itself_is_refused_once() {
    let text = text(
        "one = ['a', '@two']\ntwo = ['@three']\nthree = ['@one', 'b']\nown = ['@own']",
        "['@two']",
    );
    insta::assert_snapshot!(errors(&text), @"
    error: the list `@one` contains itself
     --> gateway.toml:7:10
      |
    7 | three = ['@one', 'b']
      |          ^^^^^^
      = help: @one -> @two -> @three -> @one

    error: the list `@own` contains itself
     --> gateway.toml:8:8
      |
    8 | own = ['@own']
      |        ^^^^^^
      = help: @own -> @own
    ");
}

#[test]
fn an_unknown_list_is_refused_with_a_suggestion() {
    let text = text("base = ['@more']", "['@bass', '@', { plugin = '@base' }]");
    insta::assert_snapshot!(errors(&text), @"
    error: unknown pipeline `more`
     --> gateway.toml:5:9
      |
    5 | base = ['@more']
      |         ^^^^^^^
      = help: add a list `more` to `[pipelines]`, or use one of: base

    error: unknown pipeline `bass`
     --> gateway.toml:8:13
      |
    8 | pipeline = ['@bass', '@', { plugin = '@base' }]
      |             ^^^^^^^
      = help: did you mean `base`?

    error: unknown pipeline ``
     --> gateway.toml:8:22
      |
    8 | pipeline = ['@bass', '@', { plugin = '@base' }]
      |                      ^^^
      = help: add a list `` to `[pipelines]`, or use one of: base

    error: unknown plugin `@base`
     --> gateway.toml:8:38
      |
    8 | pipeline = ['@bass', '@', { plugin = '@base' }]
      |                                      ^^^^^^^
      = help: add a table `[plugins.@base]`, or use one of: a, b, c
    ");
}

#[test]
fn a_list_has_a_possible_name_and_is_a_list() {
    insta::assert_snapshot!(errors(&text("'@base' = []\nrest = { plugin = 'a' }", "[]")), @"
    error: `@base` is not a possible name
     --> gateway.toml:5:1
      |
    5 | '@base' = []
      | ^^^^^^^
      = help: a name is up to 128 of the characters A-Z a-z 0-9 - _ . and starts with a letter or digit

    error: `pipelines.rest` must be a list, not a table
     --> gateway.toml:6:8
      |
    6 | rest = { plugin = 'a' }
      |        ^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_pipeline_has_at_most_64_stages_with_its_lists_put_in() {
    let lists = |last: &str| {
        format!("eight = ['a', 'a', 'a', 'a', 'a', 'a', {{ any = ['a', 'b'] }}]\nmost = [{last}]")
    };
    let eights = ["'@eight'"; 8].join(", ");
    let config = parsed(&text(&lists(&eights), "['@most']"));
    assert_eq!(entries(&config.listeners[0].pipeline).len(), 64);
    let problems = errors(&text(&lists(&format!("{eights}, 'c'")), "['@most', 'c', 'c']"));
    insta::assert_snapshot!(problems, @"
    error: a pipeline has at most 64 stages
     --> gateway.toml:6:89
      |
    6 | most = ['@eight', '@eight', '@eight', '@eight', '@eight', '@eight', '@eight', '@eight', 'c']
      |                                                                                         ^^^
      = help: those of named lists and of `any` count one by one

    error: a pipeline has at most 64 stages
     --> gateway.toml:9:22
      |
    9 | pipeline = ['@most', 'c', 'c']
      |                      ^^^
      = help: those of named lists and of `any` count one by one
    ");
}

#[test]
fn the_stages_of_a_listener_and_of_a_route_count_together() {
    let most = vec!["'a'"; 60].join(", ");
    let route = |name: &str, more: &str| {
        format!(
            "[[routes]]\nname = '{name}'\n{more}\npipeline = ['b', 'b', 'b', 'b', 'b']\nupstream.plugin = 'c'\n"
        )
    };
    let text = text("", &format!("[{most}]"))
        + "[listeners.m]\naddress = '127.0.0.1:0'\n"
        + &route("own", "inherit = false")
        + &route("elsewhere", "listeners = ['m']")
        + &route("both", "");
    insta::assert_snapshot!(errors(&text), @"
    error: with the 60 stages of listener `l` these are more than 64
      --> gateway.toml:24:1
       |
    24 | pipeline = ['b', 'b', 'b', 'b', 'b']
       | ^^^^^^^^
       = help: say `inherit = false`, or leave stages out
    ");
}

#[test]
fn lists_nest_to_a_bound_and_do_not_overflow_the_stack() {
    let chain = |count: usize| -> String {
        (0..count)
            .map(|n| format!("l{n} = ['@l{}']\n", n + 1))
            .collect::<String>()
            + &format!("l{count} = ['a']\n")
    };
    parsed(&text(&chain(15), "['@l0']"));
    let problems = errors(&text(&chain(5000), "['b']"));
    assert_eq!(
        problems.0[0].message,
        "named lists are nested deeper than 16 levels"
    );
    let reversed: String = chain(5000)
        .lines()
        .rev()
        .map(|line| format!("{line}\n"))
        .collect();
    let problems = errors(&text(&reversed, "['b']"));
    assert_eq!(
        problems.0[0].message,
        "named lists are nested deeper than 16 levels"
    );
}
