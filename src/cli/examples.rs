//! Every example of every help, read as it would be typed. In: the table of commands. Out: nothing; an example that its
//! own command does not take fails the test.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// What a shell makes of a line: the words of each program of a pipe, without variables in front and files behind.
fn typed(line: &str) -> Vec<Vec<String>> {
    let (mut programs, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
    let mut chars = line.chars().chain([' ']);
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(end)) if c == end => quote = None,
            ('\\', Some('"')) => word.get_or_insert_default().extend(chars.next()),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('(', None) => quote = Some(')'),
            ('|', None) => programs.push(Vec::new()),
            (' ', None) => {
                let program = programs.last_mut().expect("there is one");
                program.extend(word.take());
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    for program in &mut programs {
        if let Some(end) = program.iter().position(|word| word == ">" || word == "<") {
            program.truncate(end);
        }
        if let Some(name) = program.iter().position(|word| word == "hookgate") {
            program.drain(..name);
        }
    }
    // `sudo -u hookgate hookgate …`
    for program in &mut programs {
        if program.get(1).is_some_and(|word| word == "hookgate") {
            program.remove(0);
        }
    }
    programs
}

/// The examples of a help, each in one line.
fn examples(help: &str) -> Vec<String> {
    let below = help.split_once("Example:\n").or_else(|| help.split_once("Examples:\n"));
    let lines = below.map_or("", |(_, below)| below).lines();
    let mut examples: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in lines.take_while(|line| line.starts_with("  ")) {
        let text = line.trim();
        let words = text.trim_end_matches('\\').trim_end();
        match examples.last_mut().filter(|_| goes_on) {
            Some(last) => last.extend([" ", words]),
            None => examples.push(words.to_owned()),
        }
        goes_on = text.ends_with(['\\', '|']);
    }
    examples
}

/// Looks at a command and those below it; how many examples there were.
fn look(command: &Command, path: &[&str]) -> usize {
    let help = command.get_after_help().or(command.get_after_long_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let examples = examples(&help);
    let mut own = 0;
    for example in &examples {
        let programs = typed(example);
        let ours =
            programs.iter().filter(|words| words.first().is_some_and(|word| word == "hookgate"));
        for words in ours {
            own += usize::from(
                words.iter().skip(1).zip(path).filter(|(a, b)| a == b).count() == path.len(),
            );
            let read = Cli::command().try_get_matches_from(words);
            assert!(read.is_ok(), "{path:?}: {example}: {}", read.expect_err("a fault"));
        }
    }
    assert!(examples.is_empty() || own > 0, "{path:?} shows no example of itself");
    let below = command.get_subcommands().filter(|one| one.get_name() != "help");
    examples.len() + below.map(|one| look(one, &[path, &[one.get_name()]].concat())).sum::<usize>()
}

#[test]
fn every_example_is_taken_as_it_is_shown() {
    let count = look(&Cli::command(), &[]);
    assert!(count > 150, "{count} examples are all that were found");
}

#[test]
fn lines_are_read_as_a_shell_reads_them() {
    let line =
        r#"K=$(jq -r .a f) hookgate a -b 'c "d|"' "e\"f" '' | sudo -u hookgate hookgate g > h"#;
    let read = typed(line);
    let [first, second] = &read[..] else { panic!("{read:?}") };
    assert_eq!(first[..], ["hookgate", "a", "-b", "c \"d|\"", "e\"f", ""]);
    assert_eq!(second[..], ["hookgate", "g"]);
    assert_eq!(examples("x\n\nExamples:\n  a \\\n    b\n  c |\n    d\n\nE\n"), ["a b", "c | d"]);
}
